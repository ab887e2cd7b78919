/** Executions: filters that live in the address, live as they happen, cancel and rerun of many. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useLingui as useRuntimeLingui } from "@lingui/react";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";
import { Link } from "wouter";

import { api, data, type Schemas } from "../../api/client";
import { may, useSession } from "../../api/session";
import { useLiveExecutions } from "../../live/executions";
import { ModalDialog } from "../../ui/dialog";
import { useFilters } from "../../ui/filters";
import { Search } from "../../ui/field";
import { Page } from "../../ui/page";
import { StartedBy } from "../../ui/started-by";
import { Empty, Listed, Refused } from "../../ui/states";
import { STATUS_WORDS, StatusBadge } from "../../ui/status";
import { Table } from "../../ui/table";
import { Instant, Took } from "../../ui/time";

type Execution = Schemas["Execution"];
const FILTERS = ["status", "workflow_id", "trigger_kind", "created_after", "created_before", "labels", "q"] as const;
const STATUSES = ["queued", "running", "waiting", "succeeded", "failed", "cancelled"] as const;
type Filters = Record<(typeof FILTERS)[number], string>;

export default function ExecutionsPage() {
  const { t } = useLingui();
  const [filters, setFilters] = useFilters(FILTERS);
  const query = Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== "")) as Partial<Filters>;
  const pages = useInfiniteQuery({
    queryKey: ["executions", "list", query],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) =>
      data(api.GET("/api/v1/executions", { params: { query: { ...(query as object), limit: 50, cursor: pageParam } } })),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const live = useLiveExecutions(filters.workflow_id, ["executions", "list"]);
  const rows = pages.data?.pages.flatMap((page) => page.data) ?? [];
  const none = { status: "", workflow_id: "", trigger_kind: "", created_after: "", created_before: "", labels: "", q: "" };
  return (
    <Page
      title={t`Executions`}
      actions={
        <>
          <span className="soft" role="status">
            {live ? <Trans>Live</Trans> : <Trans>Not live: connecting</Trans>}
          </span>
          <Bulk filters={filters} />
        </>
      }
    >
      <FilterBar filters={filters} setFilters={setFilters} />
      <Listed query={pages} none={<Empty title={Object.keys(query).length ? <Trans>No execution is like this</Trans> : <Trans>Nothing has run yet</Trans>}>
          {Object.keys(query).length > 0 && (
            <Button className="button" onPress={() => setFilters(none)}>
              <Trans>Show all</Trans>
            </Button>
          )}
        </Empty>}>
          <Table
            label={t`Executions`}
            rows={rows}
            rowKey={(row) => row.id}
            columns={[
              { id: "id", title: t`Execution`, cell: (row) => <Link className="mono" href={`/executions/${row.id}`}>{row.id}</Link> },
              { id: "status", title: t`Status`, cell: (row) => <StatusBadge status={row.status} /> },
              { id: "workflow", title: t`Workflow`, cell: (row) => <Workflow execution={row} /> },
              { id: "trigger", title: t`Started by`, cell: (row) => <StartedBy execution={row} /> },
              { id: "at", title: t`Created`, cell: (row) => <Instant at={row.created_at} /> },
              { id: "took", title: t`Took`, numeric: true, cell: (row) => <Took from={row.started_at} to={row.finished_at} /> },
              { id: "error", title: t`Error`, cell: (row) => <span lang="en">{row.error?.message.slice(0, 160)}</span> },
            ]}
          />
      </Listed>
    </Page>
  );
}

function Workflow({ execution }: { execution: Execution }) {
  return (
    <Link data-text href={`/workflows/${encodeURIComponent(execution.workflow_id)}`}>
      {execution.workflow_id} v{execution.version}
    </Link>
  );
}

function FilterBar({ filters, setFilters }: { filters: Filters; setFilters: (change: Partial<Filters>) => void }) {
  const { t } = useLingui();
  const { _ } = useRuntimeLingui();
  const local = (value: string) => (value ? new Date(Date.parse(value) - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 16) : "");
  const kinds = { api: t`the API`, trigger: t`a trigger`, rerun: t`a rerun`, workflow: t`another workflow`, failure: t`a failure` };
  const instant = (name: "created_after" | "created_before", label: string) => (
    <div className="field">
      <label htmlFor={name}>{label}</label>
      <input
        id={name}
        type="datetime-local"
        value={local(filters[name])}
        onChange={(event) => setFilters({ [name]: event.target.value ? new Date(event.target.value).toISOString() : "" })}
      />
    </div>
  );
  return (
    <div className="row" role="search" style={{ alignItems: "end" }}>
      <Search label={t`Text in input or error`} value={filters.q} onChange={(q) => setFilters({ q })} />
      <Search label={t`Workflow`} value={filters.workflow_id} onChange={(workflow_id) => setFilters({ workflow_id })} />
      <div className="field">
        <label htmlFor="status">
          <Trans>Status</Trans>
        </label>
        <select id="status" value={filters.status} onChange={(event) => setFilters({ status: event.target.value })}>
          <option value="">{t`All`}</option>
          <option value="queued,running,waiting">{t`Not ended`}</option>
          {STATUSES.map((status) => (
            <option key={status} value={status}>
              {_(STATUS_WORDS[status])}
            </option>
          ))}
        </select>
      </div>
      <div className="field">
        <label htmlFor="kind">
          <Trans>Started by</Trans>
        </label>
        <select id="kind" value={filters.trigger_kind} onChange={(event) => setFilters({ trigger_kind: event.target.value })}>
          <option value="">{t`All`}</option>
          {Object.entries(kinds).map(([kind, label]) => (
            <option key={kind} value={kind}>
              {label}
            </option>
          ))}
        </select>
      </div>
      {instant("created_after", t`From`)}
      {instant("created_before", t`Until`)}
      <Search label={t`Labels`} placeholder="team=billing" value={filters.labels} onChange={(labels) => setFilters({ labels })} />
    </div>
  );
}

/** Cancel or rerun all that a filter shows: only for the conditions that the API takes for that. */
function Bulk({ filters }: { filters: Filters }) {
  const { t } = useLingui();
  const session = useSession();
  const client = useQueryClient();
  const [asked, setAsked] = useState<"bulk-cancel" | "bulk-rerun" | null>(null);
  const fits = !filters.q && !filters.labels && !filters.trigger_kind;
  const any = Boolean(filters.status || filters.workflow_id || filters.created_after || filters.created_before);
  const act = useMutation({
    mutationFn: (what: "bulk-cancel" | "bulk-rerun") =>
      data(
        api.POST(`/api/v1/executions/${what}`, {
          body: {
            status: filters.status ? (filters.status.split(",") as Schemas["ExecutionStatus"][]) : undefined,
            workflow_id: filters.workflow_id || undefined,
            created_after: filters.created_after || undefined,
            created_before: filters.created_before || undefined,
            limit: 1000,
          } as Schemas["BulkRequest"],
        }),
      ),
    onSettled: () => client.invalidateQueries({ queryKey: ["executions"] }),
  });
  if (!may(session.data, "execute")) return null;
  const close = () => {
    setAsked(null);
    act.reset();
  };
  const all = asked === "bulk-cancel" ? t`Cancel all of these` : t`Rerun all of these`;
  return (
    <>
      <Button className="button danger" isDisabled={!any || !fits} onPress={() => setAsked("bulk-cancel")}>
        <Trans>Cancel all…</Trans>
      </Button>
      <Button className="button" isDisabled={!any || !fits} onPress={() => setAsked("bulk-rerun")}>
        <Trans>Rerun all…</Trans>
      </Button>
      <ModalDialog title={all} isOpen={asked !== null} onClose={close}>
        <p>
          <Trans>Up to 1,000 executions that the filters show, newest first, also those that are not on this page yet.</Trans>
        </p>
        <Refused error={act.error} />
        {act.data && (
          <p role="status">
            <Plural value={act.data.done} one="# execution done." other="# executions done." />{" "}
            <Plural value={act.data.failed} _0="" one="# was refused." other="# were refused." />
          </p>
        )}
        <div className="row">
          {!act.data && asked && (
            <Button className="button primary" onPress={() => act.mutate(asked)} isPending={act.isPending}>
              {all}
            </Button>
          )}
          <Button className="button" onPress={close}>
            <Trans>Close</Trans>
          </Button>
        </div>
      </ModalDialog>
    </>
  );
}
