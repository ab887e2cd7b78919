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
import { Empty, Listed, Refused } from "../../ui/states";
import { StatusBadge } from "../../ui/status";
import { Table } from "../../ui/table";
import { duration, Instant, intlLocale } from "../../ui/time";

type Workflow = Schemas["WorkflowSummary"];
const DAYS = 30;

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
      <Listed query={pages} none={<Empty title={filtered ? <Trans>No workflow is like this</Trans> : <Trans>There are no workflows yet</Trans>}>
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
        </Empty>}>
          <Table
            label={t`Workflows`}
            rows={rows}
            rowKey={(row) => row.id}
            columns={[
              { id: "name", title: t`Name`, cell: (row) => <Name workflow={row} /> },
              { id: "state", title: t`State`, cell: (row) => <Enabled workflow={row} /> },
              { id: "last", title: t`Last execution`, cell: (row) => <Last id={row.id} /> },
              { id: "rate", title: t`Succeeded in ${DAYS} days`, numeric: true, cell: (row) => <Figure id={row.id} part="rate" /> },
              { id: "p95", title: t`95th percentile`, numeric: true, cell: (row) => <Figure id={row.id} part="p95" /> },
              { id: "next", title: t`Next fire`, cell: (row) => (row.enabled ? <NextFire id={row.id} /> : <span className="soft">–</span>) },
            ]}
          />
      </Listed>
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
      <Refused error={change.error} />
    </div>
  );
}

function Last({ id }: { id: string }) {
  const recent = useQuery({
    queryKey: ["executions", "last", id],
    queryFn: () => data(api.GET("/api/v1/executions", { params: { query: { workflow_id: id, limit: 1 } } })),
    staleTime: 10_000,
  });
  const last = recent.data?.data[0];
  if (last === undefined) return <span className="soft">–</span>;
  return (
    <Link href={`/executions/${last.id}`}>
      <StatusBadge status={last.status} /> <Instant at={last.created_at} />
    </Link>
  );
}

/** How the executions of the last days ended: one request serves all rows. */
function Figure({ id, part }: { id: string; part: "rate" | "p95" }) {
  const { i18n } = useLingui();
  const statistics = useQuery({
    queryKey: ["statistics", "workflows"],
    queryFn: () => {
      const since = new Date(Date.now() - DAYS * 86_400_000).toISOString();
      return data(api.GET("/api/v1/statistics", { params: { query: { since, step: 86_400 } } }));
    },
    staleTime: 60_000,
  });
  const found = statistics.data?.workflows.find((one) => one.workflow_id === id);
  const ended = found ? found.succeeded + found.failed : 0;
  if (!found || ended === 0 || (part === "p95" && found.p95 === null)) return <span className="soft">–</span>;
  if (part === "p95") return <>{duration(found.p95! * 1000)}</>;
  return <>{new Intl.NumberFormat(intlLocale(i18n.locale), { style: "percent" }).format(found.succeeded / ended)}</>;
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
