/** When a schedule fires next: a strip of days and hours for the eye, and the same as a list. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Button } from "react-aria-components";

import { api, data, type Schemas } from "../../api/client";
import { useFilters } from "../../ui/filters";
import { Empty, Loaded } from "../../ui/states";
import { intlLocale } from "../../ui/time";
import { daysOf, type Fire, type Hour } from "./calendar";

const LISTED = 10;

export function Schedule({ trigger }: { trigger: Schemas["Trigger"] }) {
  const { t } = useLingui();
  const next = useQuery({
    queryKey: ["trigger", trigger.id, "next"],
    retry: false,
    refetchInterval: 30_000,
    queryFn: () => data(api.GET("/api/v1/triggers/{binding_id}/next", { params: { path: { binding_id: trigger.id }, query: { count: 100 } } })),
  });
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zone = String(trigger.params["timezone"] ?? "UTC");
  const [{ zone: chosen }, set] = useFilters(["zone"]);
  const shown = chosen === "own" ? own : zone;
  return (
    <section className="stack" aria-label={t`Next fires`}>
      <div className="row">
        <h2 className="grow">
          <Trans>Next fires</Trans>
        </h2>
        {own !== zone && (
          <div className="field">
            <select aria-label={t`Time zone`} value={chosen === "own" ? "own" : ""} onChange={(event) => set({ zone: event.target.value })}>
              <option value="">{t`${zone} (the schedule’s)`}</option>
              <option value="own">{t`${own} (yours)`}</option>
            </select>
          </div>
        )}
      </div>
      {trigger.status === "paused" && (
        <p className="soft">
          <Trans>It is paused: none of these fires until it is resumed.</Trans>
        </p>
      )}
      <Loaded query={next}>{(found) => <Fires fires={found.data as unknown as Fire[]} zone={shown} />}</Loaded>
    </section>
  );
}

function Fires({ fires, zone }: { fires: readonly Fire[]; zone: string }) {
  const { t, i18n } = useLingui();
  const [all, setAll] = useState(false);
  const days = useMemo(() => daysOf(fires, zone), [fires, zone]);
  if (fires.length === 0) return <Empty title={<Trans>It will not fire any more</Trans>} />;
  const locale = intlLocale(i18n.locale);
  const dayName = new Intl.DateTimeFormat(locale, { weekday: "short", day: "numeric", month: "short", timeZone: zone });
  const exact = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "long", timeZone: zone });
  const listed = all ? fires : fires.slice(0, LISTED);
  const changed = days.some((day) => day.hours.some((hour) => hour.quarters !== 4));
  return (
    <>
      <div className="calendar card" aria-hidden="true">
        <div className="calendar-day">
          <span />
          {Array.from({ length: 24 }, (_, hour) => (
            <span key={hour} className="num soft">
              {hour % 6 === 0 ? hour : ""}
            </span>
          ))}
        </div>
        {days.map((day) => (
          <div className="calendar-day" key={day.date}>
            <b className="num">{dayName.format(day.at)}</b>
            {day.hours.map((hour) => (
              <Cell key={hour.hour} hour={hour} title={hour.fires.map((fire) => exact.format(new Date(fire.at))).join("\n")} />
            ))}
          </div>
        ))}
        {changed && (
          <p className="row soft">
            <span className="calendar-cell skipped" /> <Trans>skipped: clocks go forward</Trans>
            <span className="calendar-cell doubled">2×</span> <Trans>twice: clocks go back</Trans>
          </p>
        )}
      </div>
      <ol className="fires" aria-label={t`Next fires`}>
        {listed.map((fire) => (
          <li key={fire.kind + fire.at} className="row">
            <time dateTime={fire.at} title={fire.at}>
              {exact.format(new Date(fire.at))}
            </time>
            {fire.kind !== "fire" && (
              <b>
                {fire.kind === "skipped" ? <Trans>skipped</Trans> : fire.kind === "shifted" ? <Trans>moved</Trans> : <Trans>twice</Trans>}
              </b>
            )}
            {fire.text && (
              <span className="chip" lang="en">
                {fire.text}
              </span>
            )}
          </li>
        ))}
      </ol>
      {fires.length > LISTED && !all && (
        <div>
          <Button className="button small" onPress={() => setAll(true)}>
            <Trans>Show all</Trans>
          </Button>
        </div>
      )}
    </>
  );
}

function Cell({ hour, title }: { hour: Hour; title: string }) {
  const { fires, quarters } = hour;
  const kind = [fires.length > 0 && "fires", quarters < 4 && "skipped", quarters > 4 && "doubled"].filter(Boolean).join(" ");
  const text = fires.length > 1 ? fires.length : quarters > 4 ? "2×" : "";
  if (fires[0] === undefined) return <span className={`calendar-cell num ${kind}`}>{text}</span>;
  return (
    <time className={`calendar-cell num ${kind}`} dateTime={fires[0].at} title={title}>
      {text}
    </time>
  );
}
