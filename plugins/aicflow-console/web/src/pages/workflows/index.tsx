/** All workflows: search by name and label, what they are doing, what fires next. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Button } from "react-aria-components";
import { Link } from "wouter";

import { api, data, type Schemas } from "../../api/client";
import { may, useSession } from "../../api/session";
import { useFilters } from "../../ui/filters";
import { Search } from "../../ui/field";
import { Page } from "../../ui/page";
import { Empty, Failed, Loading } from "../../ui/states";
import { StatusBadge } from "../../ui/status";
import { Table } from "../../ui/table";
import { duration, Instant } from "../../ui/time";

type Workflow = Schemas["WorkflowSummary"];
const RECENT = 50;

export default function WorkflowsPage() {
  const { t } = useLingui();
  const [filters, setFilters] = useFilters(["name", "labels", "enabled"]);
  const pages = useInfiniteQuery({
    queryKey: ["workflows", filters],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) =>
      data(
        api.GET("/api/v1/workflows", {
          params: {
            query: {
              limit: 50,
              cursor: pageParam,
              name: filters.name || undefined,
              labels: filters.labels || undefined,
              enabled: filters.enabled === "" ? undefined : filters.enabled === "true",
            },
          },
        }),
      ),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const rows = pages.data?.pages.flatMap((page) => page.data) ?? [];
  const filtered = Object.values(filters).some(Boolean);
  return (
    <Page title={t`Workflows`}>
      <div className="row" role="search">
        <Search label={t`Name`} value={filters.name} onChange={(name) => setFilters({ name })} />
        <Search label={t`Labels`} placeholder="team=billing" value={filters.labels} onChange={(labels) => setFilters({ labels })} />
        <div className="field">
          <label htmlFor="enabled">
            <Trans>State</Trans>
          </label>
          <select id="enabled" value={filters.enabled} onChange={(event) => setFilters({ enabled: event.target.value })}>
            <option value="">{t`All`}</option>
            <option value="true">{t`Enabled`}</option>
            <option value="false">{t`Disabled`}</option>
          </select>
        </div>
      </div>
      {pages.error && !pages.data ? (
        <Failed error={pages.error} retry={() => void pages.refetch()} />
      ) : pages.isPending ? (
        <Loading />
      ) : rows.length === 0 ? (
        <Empty title={filtered ? <Trans>No workflow is like this</Trans> : <Trans>There are no workflows yet</Trans>}>
          {filtered ? (
            <Button className="button" onPress={() => setFilters({ name: "", labels: "", enabled: "" })}>
              <Trans>Show all</Trans>
            </Button>
          ) : (
            <>
              <p className="soft">
                <Trans>
                  Save one with <code>aicflow deploy FILE</code>, the Python SDK or the REST API.
                </Trans>
              </p>
              <Link className="button" href="/welcome">
                <Trans>Try a demo flow</Trans>
              </Link>
            </>
          )}
        </Empty>
      ) : (
        <>
          <Table
            label={t`Workflows`}
            rows={rows}
            rowKey={(row) => row.id}
            columns={[
              { id: "name", title: t`Name`, cell: (row) => <Name workflow={row} /> },
              { id: "state", title: t`State`, cell: (row) => <Enabled workflow={row} /> },
              { id: "last", title: t`Last execution`, cell: (row) => <Recent id={row.id} part="last" /> },
              { id: "rate", title: t`Succeeded`, numeric: true, cell: (row) => <Recent id={row.id} part="rate" /> },
              { id: "p95", title: t`95th percentile`, numeric: true, cell: (row) => <Recent id={row.id} part="p95" /> },
              { id: "next", title: t`Next fire`, cell: (row) => (row.enabled ? <NextFire id={row.id} /> : <span className="soft">–</span>) },
            ]}
          />
          {pages.hasNextPage && (
            <Button className="button" onPress={() => void pages.fetchNextPage()} isDisabled={pages.isFetchingNextPage}>
              <Trans>Show more</Trans>
            </Button>
          )}
        </>
      )}
    </Page>
  );
}

function Name({ workflow }: { workflow: Workflow }) {
  return (
    <div className="stack" style={{ gap: ".2rem" }}>
      <Link href={`/workflows/${encodeURIComponent(workflow.id)}`}>{workflow.name}</Link>
      {workflow.description && <span className="soft">{workflow.description}</span>}
      <span className="row">
        {Object.entries(workflow.labels).map(([name, value]) => (
          <span className="chip" key={name}>
            {name}={value}
          </span>
        ))}
      </span>
    </div>
  );
}

function Enabled({ workflow }: { workflow: Workflow }) {
  const { t } = useLingui();
  const session = useSession();
  const client = useQueryClient();
  const change = useMutation({
    mutationFn: () =>
      api.PATCH("/api/v1/workflows/{workflow_id}", {
        params: { path: { workflow_id: workflow.id }, header: { "If-Match": "*" } },
        body: { enabled: !workflow.enabled },
      }),
    onSettled: () => client.invalidateQueries({ queryKey: ["workflows"] }),
  });
  return (
    <div className="row">
      <span>{workflow.enabled ? t`Enabled` : t`Disabled`}</span>
      {may(session.data, "write") && (
        <Button
          className="button small"
          isPending={change.isPending}
          onPress={() => change.mutate()}
          aria-label={workflow.enabled ? t`Disable ${workflow.name}` : t`Enable ${workflow.name}`}
        >
          {workflow.enabled ? <Trans>Disable</Trans> : <Trans>Enable</Trans>}
        </Button>
      )}
      {change.error && (
        <span role="alert" className="error" lang="en" style={{ color: "var(--failed)" }}>
          {change.error.message}
        </span>
      )}
    </div>
  );
}

/** The last executions of a workflow: one request serves all the columns. */
function Recent({ id, part }: { id: string; part: "last" | "rate" | "p95" }) {
  const { i18n } = useLingui();
  const recent = useQuery({
    queryKey: ["executions", "recent", id],
    queryFn: () => data(api.GET("/api/v1/executions", { params: { query: { workflow_id: id, limit: RECENT } } })),
    staleTime: 10_000,
  });
  const all = recent.data?.data ?? [];
  const ended = all.filter((one) => one.finished_at !== null);
  const last = all[0];
  if (last === undefined || (part !== "last" && ended.length === 0)) return <span className="soft">–</span>;
  if (part === "last") {
    return (
      <Link href={`/executions/${last.id}`}>
        <StatusBadge status={last.status} /> <Instant at={last.created_at} />
      </Link>
    );
  }
  if (part === "rate") {
    const rate = ended.filter((one) => one.status === "succeeded").length / ended.length;
    return <>{new Intl.NumberFormat(i18n.locale.slice(0, 2), { style: "percent" }).format(rate)}</>;
  }
  const took = ended.map((one) => Date.parse(one.finished_at!) - Date.parse(one.started_at ?? one.created_at)).sort((a, b) => a - b);
  return <>{duration(took[Math.min(took.length - 1, Math.ceil(took.length * 0.95) - 1)] ?? 0)}</>;
}

function NextFire({ id }: { id: string }) {
  const next = useQuery({
    queryKey: ["triggers", "next", id],
    staleTime: 30_000,
    queryFn: async () => {
      const found = await data(api.GET("/api/v1/triggers", { params: { query: { workflow_id: id } } }));
      const active = found.data.filter((one) => one.status === "active" && one.type_id === "trigger.cron");
      const fires = await Promise.all(
        active.map((one) =>
          data(api.GET("/api/v1/triggers/{binding_id}/next", { params: { path: { binding_id: one.id }, query: { count: 1 } } })).catch(() => null),
        ),
      );
      return fires.flatMap((one) => one?.data.map((fire) => String(fire["at"] ?? fire["time"] ?? "")) ?? []).filter(Boolean).sort()[0] ?? null;
    },
  });
  return <Instant at={next.data} />;
}
