/** Instants in the viewer's zone, with the exact one on hover; durations. */
import { i18n } from "@lingui/core";
import { useLingui } from "@lingui/react/macro";
import { useEffect, useState } from "react";

const STEPS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["second", 60],
  ["minute", 60],
  ["hour", 24],
  ["day", 30],
  ["month", 12],
  ["year", Infinity],
];

/** Pseudo-locales have no dates of their own. */
export function intlLocale(locale: string): string {
  return locale.startsWith("en-X") ? "en" : locale;
}

export function ago(locale: string, at: number, now: number): string {
  let value = (at - now) / 1000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(value) < size)
      return new Intl.RelativeTimeFormat(intlLocale(locale), { numeric: "auto" }).format(Math.round(value), unit);
    value /= size;
  }
  return "";
}

/** The time now, again every so many milliseconds. */
export function useNow(every: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (every <= 0) return;
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

export function Instant({ at }: { at: string | null | undefined }) {
  const { i18n } = useLingui();
  const now = useNow(30_000);
  if (!at) return <span className="soft">–</span>;
  const date = new Date(at);
  const near = Math.abs(now - date.getTime()) < 86_400_000;
  const locale = intlLocale(i18n.locale);
  const exact = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "long" }).format(date);
  return (
    <time dateTime={at} title={`${exact}\n${at}`}>
      {near
        ? ago(i18n.locale, date.getTime(), now)
        : new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(date)}
    </time>
  );
}

/** A number as the language writes it, with so many digits behind the point. */
export function figure(value: number, digits = 0): string {
  return new Intl.NumberFormat(intlLocale(i18n.locale || "en"), { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** `1.2 s`, `3 min 4 s`: the unit symbols are the same in all languages we ship. */
export function duration(ms: number): string {
  if (ms < 1) return "<1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${figure(ms / 1000, ms < 10_000 ? 2 : 1)} s`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

/** How long it took, or takes so far. */
export function Took({ from, to }: { from: string | null | undefined; to: string | null | undefined }) {
  const now = useNow(from && !to ? 1000 : 0);
  if (!from) return <span className="soft">–</span>;
  return <>{duration((to ? Date.parse(to) : now) - Date.parse(from))}</>;
}
