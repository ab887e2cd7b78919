/** Bars over time, stacked, as one picture with a table behind it for those who do not see it. No library: it is rectangles. */
import { useLingui } from "@lingui/react/macro";
import type { ReactNode } from "react";

export interface Series {
  id: string;
  title: string;
  /** A CSS colour. */
  colour: string;
}

export interface BarsProps {
  label: string;
  series: readonly Series[];
  points: readonly { start: string; values: Readonly<Record<string, number | null>> }[];
  /** How an instant on the axis is written. */
  at: (start: string) => string;
  value: (value: number) => string;
  stacked?: boolean;
  onPick?: (start: string) => void;
}

const WIDTH = 900;
const HEIGHT = 160;

/** The next round number above: 1, 2, 5, 10, 20, … */
export function roundUp(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((one) => one * power >= value) ?? 10) * power;
}

export function Bars({ label, series, points, at, value, stacked = true, onPick }: BarsProps) {
  const { t } = useLingui();
  const heights = points.map(({ values }) => {
    const known = series.map((one) => values[one.id] ?? 0);
    return stacked ? known.reduce((sum, one) => sum + one, 0) : Math.max(...known);
  });
  const top = roundUp(Math.max(0, ...heights));
  const step = WIDTH / Math.max(1, points.length);
  const marks = [0, Math.floor(points.length / 2), points.length - 1].filter((one, place, all) => all.indexOf(one) === place);
  return (
    <figure className="chart">
      <figcaption className="row">
        <b>{label}</b>
        {series.map((one) => (
          <span key={one.id} className="row soft">
            <svg width="10" height="10" aria-hidden="true">
              <rect width="10" height="10" rx="2" fill={one.colour} />
            </svg>
            {one.title}
          </span>
        ))}
        <span className="soft chart-top num">{value(top)}</span>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
        {[0.25, 0.5, 0.75].map((part) => (
          <line key={part} x1="0" x2={WIDTH} y1={HEIGHT * part} y2={HEIGHT * part} className="chart-line" />
        ))}
        {points.map((point, place) => {
          let below = 0;
          return (
            <g key={point.start} onClick={onPick && (() => onPick(point.start))} className={onPick ? "chart-pick" : undefined}>
              <title>{[at(point.start), ...series.map((one) => `${one.title}: ${value(point.values[one.id] ?? 0)}`)].join("\n")}</title>
              <rect x={place * step} width={step} y="0" height={HEIGHT} fill="transparent" />
              {series.map((one, index) => {
                const height = ((point.values[one.id] ?? 0) / top) * HEIGHT;
                const width = stacked ? step : step / series.length;
                const x = place * step + (stacked ? 0 : width * index);
                const y = HEIGHT - below - height;
                if (stacked) below += height;
                return <rect key={one.id} x={x + width * 0.1} width={width * 0.8} y={y} height={height} fill={one.colour} />;
              })}
            </g>
          );
        })}
      </svg>
      <div className="chart-axis soft num" aria-hidden="true">
        {marks.map((place) => (
          <span key={place}>{points[place] && at(points[place].start)}</span>
        ))}
      </div>
      <details>
        <summary className="soft">{t`As a table`}</summary>
        <div className="chart-table" role="region" aria-label={t`Figures of the chart`} tabIndex={0}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t`From`}</th>
                {series.map((one) => (
                  <th key={one.id} scope="col" className="num">
                    {one.title}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>{rows(points, series, at, value)}</tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

function rows(points: BarsProps["points"], series: readonly Series[], at: BarsProps["at"], value: BarsProps["value"]): ReactNode {
  return points
    .filter((point) => series.some((one) => point.values[one.id]))
    .map((point) => (
      <tr key={point.start}>
        <td className="mono">{at(point.start)}</td>
        {series.map((one) => (
          <td key={one.id} data-label={one.title} className="num">
            {point.values[one.id] == null ? "–" : value(point.values[one.id]!)}
          </td>
        ))}
      </tr>
    ));
}
