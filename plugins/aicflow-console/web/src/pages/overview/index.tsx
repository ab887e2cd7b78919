/** How the site does: what waits and runs now, how executions ended and how long they took, where they fail. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { Link, useLocation } from "wouter";

import { api, data, type Schemas } from "../../api/client";
import { Bars } from "../../ui/chart";
import { useFilters } from "../../ui/filters";
import { Page } from "../../ui/page";
import { Empty, Loaded } from "../../ui/states";
import { Table } from "../../ui/table";
import { duration, intlLocale } from "../../ui/time";

type Statistics = Schemas["Statistics"];
const RANGES = { "1h": 3_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000, "365d": 31_536_000 } as const;
type Range = keyof typeof RANGES;
const EVERY = 15_000;

export default function OverviewPage() {
  const { t } = useLingui();
  const [filters, setFilters] = useFilters(["range", "workflow_id"]);
  const range: Range = filters.range in RANGES ? (filters.range as Range) : "24h";
  const names: Record<Range, string> = {
    "1h": t`Last hour`,
    "24h": t`Last 24 hours`,
    "7d": t`Last 7 days`,
    "30d": t`Last 30 days`,
    "365d": t`Last year`,
  };
  const statistics = useQuery({
    queryKey: ["statistics", range, filters.workflow_id],
    refetchInterval: Math.min(300_000, Math.max(EVERY, RANGES[range] / 2)), // long times change slowly and cost more
    placeholderData: (before) => before,
    queryFn: () => {
      const since = new Date(Date.now() - RANGES[range] * 1000).toISOString();
      const query = { since, workflow_id: filters.workflow_id || undefined };
      return data(api.GET("/api/v1/statistics", { params: { query } }));
    },
  });
  return (
    <Page
      title={t`Overview`}
      actions={
        <div className="field">
          <select aria-label={t`Time`} value={range} onChange={(event) => setFilters({ range: event.target.value })}>
            {(Object.keys(RANGES) as Range[]).map((one) => (
              <option key={one} value={one}>
                {names[one]}
              </option>
            ))}
          </select>
        </div>
      }
    >
      <Now />
      {filters.workflow_id && (
        <p>
          <Trans>
            Only <code>{filters.workflow_id}</code>.
          </Trans>{" "}
          <Link href={`/overview?range=${range}`}>
            <Trans>All workflows</Trans>
          </Link>
        </p>
      )}
      <Loaded query={statistics}>{(found) => <Figures found={found} />}</Loaded>
    </Page>
  );
}

/** What an autoscaler sees; keys that are limited to workflows do not. */
function Now() {
  const { t } = useLingui();
  const scaling = useQuery({ queryKey: ["scaling"], refetchInterval: 5_000, retry: false, queryFn: () => data(api.GET("/api/v1/scaling")) });
  const waiting = useQuery({
    queryKey: ["executions", "any-waiting"],
    refetchInterval: EVERY,
    queryFn: () => data(api.GET("/api/v1/executions", { params: { query: { status: "waiting", limit: 200 } } })),
  });
  if (!scaling.data) return null;
  const { queued, queue_seconds, running, wanted_workers, max_running } = scaling.data;
  const many = waiting.data ? `${waiting.data.data.length}${waiting.data.next_cursor ? "+" : ""}` : "–";
  const cards: [string, string, string][] = [
    [t`Queued`, String(queued), queued ? t`the first for ${duration(queue_seconds * 1000)}` : t`nothing waits for a worker`],
    [t`Running`, String(running), t`a worker runs ${max_running} at once`],
    [t`Waiting`, many, t`for a time, an answer or an event`],
    [t`Workers wanted`, String(wanted_workers), t`to run all of these`],
  ];
  return (
    <dl className="cards" aria-label={t`Now`}>
      {cards.map(([name, value, note]) => (
        <div className="card" key={name}>
          <dt>{name}</dt>
          <dd>
            <b className="num">{value}</b> <span className="soft">{note}</span>
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Figures({ found }: { found: Statistics }) {
  const { t, i18n } = useLingui();
  const [, go] = useLocation();
  const all = found.succeeded + found.failed + found.cancelled;
  if (all === 0) {
    return (
      <Empty title={<Trans>No execution ended in this time</Trans>}>
        <Link href="/executions">
          <Trans>All executions</Trans>
        </Link>
      </Empty>
    );
  }
  const format = new Intl.DateTimeFormat(
    intlLocale(i18n.locale),
    found.step < 3_600 ? { timeStyle: "short" } : found.step < 86_400 ? { dateStyle: "short", timeStyle: "short" } : { dateStyle: "medium" },
  );
  const at = (start: string) => format.format(new Date(start));
  const number = new Intl.NumberFormat(intlLocale(i18n.locale));
  const seconds = (value: number | null) => (value === null ? "–" : duration(value * 1000));
  const percent = (part: number, whole: number) =>
    whole === 0 ? "–" : new Intl.NumberFormat(intlLocale(i18n.locale), { style: "percent", maximumFractionDigits: 1 }).format(part / whole);
  return (
    <>
      <section className="card" aria-label={t`Executions that ended`}>
        <Bars
          label={t`Executions that ended`}
          series={[
            { id: "succeeded", title: t`succeeded`, colour: "var(--succeeded)" },
            { id: "failed", title: t`failed`, colour: "var(--failed)" },
            { id: "cancelled", title: t`cancelled`, colour: "var(--cancelled)" },
          ]}
          points={found.series.map(({ start, succeeded, failed, cancelled }) => ({ start, values: { succeeded, failed, cancelled } }))}
          at={at}
          value={(value) => number.format(value)}
          onPick={(start) => go(`/executions?created_after=${encodeURIComponent(start)}`)}
        />
      </section>
      <section className="card" aria-label={t`How long they took`}>
        <Bars
          label={t`How long they took`}
          stacked={false}
          series={[
            { id: "p50", title: t`half of them at most`, colour: "var(--running)" },
            { id: "p95", title: t`95 of 100 at most`, colour: "var(--waiting)" },
          ]}
          points={found.series.map(({ start, p50, p95 }) => ({ start, values: { p50, p95 } }))}
          at={at}
          value={seconds}
        />
      </section>
      <h2>
        <Trans>Workflows</Trans>
      </h2>
      <Table
        label={t`Workflows`}
        rows={found.workflows}
        rowKey={(row) => row.workflow_id}
        columns={[
          { id: "name", title: t`Workflow`, cell: (row) => <Link data-text href={`/workflows/${encodeURIComponent(row.workflow_id)}`}>{row.workflow_id}</Link> },
          { id: "ok", title: t`Succeeded`, numeric: true, cell: (row) => number.format(row.succeeded) },
          {
            id: "failed",
            title: t`Failed`,
            numeric: true,
            cell: (row) => (row.failed ? <Link href={`/executions?status=failed&workflow_id=${encodeURIComponent(row.workflow_id)}`}>{number.format(row.failed)}</Link> : "0"),
          },
          { id: "rate", title: t`Success rate`, numeric: true, cell: (row) => percent(row.succeeded, row.succeeded + row.failed) },
          { id: "p50", title: t`Median`, numeric: true, cell: (row) => seconds(row.p50) },
          { id: "p95", title: t`95th percentile`, numeric: true, cell: (row) => seconds(row.p95) },
        ]}
      />
      {found.failures.length > 0 && (
        <>
          <h2>
            <Trans>Most frequent failures</Trans>
          </h2>
          <Table
            label={t`Most frequent failures`}
            rows={found.failures}
            rowKey={(row) => `${row.workflow_id} ${row.node_id} ${row.code}`}
            columns={[
              { id: "workflow", title: t`Workflow`, cell: (row) => <span data-text>{row.workflow_id}</span> },
              { id: "node", title: t`Node`, cell: (row) => (row.node_id ? <code>{row.node_id}</code> : "–") },
              { id: "code", title: t`Code`, cell: (row) => <code>{row.code}</code> },
              { id: "count", title: t`Times`, numeric: true, cell: (row) => number.format(row.count) },
              { id: "last", title: t`Last`, cell: (row) => <Link className="mono" href={`/executions/${row.last_execution_id}`}>{row.last_execution_id}</Link> },
            ]}
          />
        </>
      )}
    </>
  );
}
