/** One execution: the canvas as it runs, where the time went, and each node from the inside. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { Button } from "react-aria-components";
import { Link, useLocation } from "wouter";

import { api, data, Problem, type Schemas } from "../../api/client";
import { may, useSession } from "../../api/session";
import { Canvas } from "../../graph/canvas";
import { graphOf, type Document, type Graph } from "../../graph/model";
import { ExecutionLive } from "../../live/execution";
import { useFilters } from "../../ui/filters";
import { Failure } from "../../ui/failure";
import { JsonView } from "../../ui/json";
import { Page } from "../../ui/page";
import { useShortcuts } from "../../ui/shortcuts";
import { Failed, Loaded } from "../../ui/states";
import { StatusBadge } from "../../ui/status";
import { Tabs } from "../../ui/tabs";
import { Instant, Took } from "../../ui/time";
import { StartedBy } from "../../ui/started-by";
import { Inspector } from "./inspector";
import { Timeline } from "./timeline";

type Execution = Schemas["Execution"];

export default function ExecutionPage({ params }: { params: Record<string, string> }) {
  const id = params["id"] ?? "";
  const execution = useQuery({
    queryKey: ["execution", id],
    queryFn: () => data(api.GET("/api/v1/executions/{execution_id}", { params: { path: { execution_id: id } } })),
  });
  return (
    <Page
      full
      title={id}
      heading={<span className="mono">{id}</span>}
      crumbs={
        <Link href="/executions">
          <Trans>Executions</Trans>
        </Link>
      }
      actions={execution.data && <Actions execution={execution.data} />}
    >
      <Loaded query={execution}>{(found) => <WithWorkflow key={id} execution={found} />}</Loaded>
    </Page>
  );
}

/** The version of the workflow that ran; when it is gone, the execution is shown without its graph. */
function WithWorkflow({ execution }: { execution: Execution }) {
  const version = useQuery({
    queryKey: ["version", execution.workflow_id, execution.version],
    staleTime: Infinity,
    queryFn: () =>
      data(
        api.GET("/api/v1/workflows/{workflow_id}/versions/{version}", {
          params: { path: { workflow_id: execution.workflow_id, version: execution.version } },
        }),
      ),
  });
  const document = version.data?.document as Partial<Document> | undefined;
  const graph = useMemo(() => graphOf(document ?? {}), [document]);
  if (version.error && !(version.error instanceof Problem && version.error.status === 404)) return <Failed error={version.error} />;
  if (version.isPending) return null;
  return <Opened execution={execution} graph={graph} />;
}

function Opened({ execution, graph }: { execution: Execution; graph: Graph }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [live] = useState(() => new ExecutionLive(execution.id));
  useEffect(() => live.follow(), [live]);
  useSyncExternalStore(live.subscribeAll, live.snapshot);
  const { status, ended } = live;
  useEffect(() => {
    void client.invalidateQueries({ queryKey: ["execution", execution.id] });
    void client.invalidateQueries({ queryKey: ["why", execution.id] });
  }, [client, execution.id, status, ended]);
  const [{ node, tab }, set] = useFilters(["node", "tab"]);
  const select = (id: string | null) => set({ node: id ?? "" });
  const hasGraph = graph.nodes.length > 0;
  const first = hasGraph ? "canvas" : "timeline";
  return (
    <div className="stack" style={{ gridTemplateRows: "auto 1fr", minHeight: 0 }}>
      <Facts execution={execution} live={live} />
      <div className="split">
        <Tabs
          label={t`Views of the execution`}
          selected={tab || first}
          onSelect={(next) => set({ tab: next === first ? "" : next })}
          items={[
            ...(hasGraph ? [{ id: "canvas", title: <Trans>Canvas</Trans>, content: () => <div style={{ height: "60vh" }}><Canvas graph={graph} selected={node || null} onSelect={select} live={live} /></div> }] : []),
            { id: "timeline", title: <Trans>Timeline</Trans>, content: () => <Timeline live={live} selected={node || null} onSelect={select} /> },
            { id: "data", title: <Trans>Input and output</Trans>, content: () => <Values execution={execution} /> },
          ]}
        />
        <section className="panel stack" aria-label={t`Selected node`}>
          {node ? (
            <Inspector key={node} execution={execution} live={live} node={node} graph={graph} />
          ) : (
            <p className="soft">
              <Trans>Choose a node to see what it was given, what it returned and what it said.</Trans>
            </p>
          )}
        </section>
      </div>
    </div>
  );
}

function Facts({ execution, live }: { execution: Execution; live: ExecutionLive }) {
  const why = useQuery({
    queryKey: ["why", execution.id],
    queryFn: () => data(api.GET("/api/v1/executions/{execution_id}/why", { params: { path: { execution_id: execution.id } } })),
  });
  const status = live.status ?? execution.status;
  return (
    <div className="stack">
      <div className="row" style={{ gap: ".4rem 1.2rem" }}>
        <span role="status" aria-live="polite">
          <StatusBadge status={status} />
        </span>
        <span>
          <Trans>
            Workflow{" "}
            <Link data-text href={`/workflows/${encodeURIComponent(execution.workflow_id)}`}>
              {execution.workflow_id} v{execution.version}
            </Link>
          </Trans>
        </span>
        <span>
          <Trans>
            Started by <StartedBy execution={execution} />
          </Trans>
        </span>
        <span className="soft">
          <Instant at={execution.created_at} /> · <span className="took"><Took from={execution.started_at} to={execution.finished_at} /></span>
        </span>
        {!live.ended && !live.connected && (
          <span className="soft">
            <Trans>Not live: connecting</Trans>
          </span>
        )}
      </div>
      {why.data && status !== "succeeded" && (
        <p lang="en" data-testid="why">
          {why.data.sentence}
        </p>
      )}
      {execution.error && <Failure failure={execution.error} />}
    </div>
  );
}

function Values({ execution }: { execution: Execution }) {
  const { t } = useLingui();
  return (
    <div className="stack">
      <h2>
        <Trans>Input</Trans>
      </h2>
      <JsonView value={execution.input} label={t`Input`} />
      <h2>
        <Trans>Output</Trans>
      </h2>
      {execution.status === "succeeded" ? (
        <JsonView value={execution.output} label={t`Output`} />
      ) : (
        <p className="soft">
          <Trans>There is none yet.</Trans>
        </p>
      )}
    </div>
  );
}

function Actions({ execution }: { execution: Execution }) {
  const { t } = useLingui();
  const session = useSession();
  const client = useQueryClient();
  const [, go] = useLocation();
  const path = { execution_id: execution.id };
  const cancel = useMutation({
    mutationFn: () => data(api.POST("/api/v1/executions/{execution_id}/cancel", { params: { path } })),
    onSettled: () => client.invalidateQueries({ queryKey: ["execution", execution.id] }),
  });
  const rerun = useMutation({
    mutationFn: () => data(api.POST("/api/v1/executions/{execution_id}/rerun", { params: { path } })),
    onSuccess: (made) => go(`/executions/${made.id}`),
  });
  const can = may(session.data, "execute");
  useShortcuts(t`Execution`, can ? [{ keys: "r", label: t`Rerun with the same input`, run: () => rerun.mutate() }] : []);
  if (!can) return null;
  const error = cancel.error ?? rerun.error;
  const isActive = execution.finished_at === null;
  return (
    <>
      {error && (
        <span role="alert" lang="en" style={{ color: "var(--failed)" }}>
          {error.message}
        </span>
      )}
      {isActive && (
        <Button className="button danger" onPress={() => cancel.mutate()} isDisabled={cancel.isPending || execution.cancel_requested}>
          {execution.cancel_requested ? <Trans>Cancelling</Trans> : <Trans>Cancel</Trans>}
        </Button>
      )}
      <Button className="button" onPress={() => rerun.mutate()} isDisabled={rerun.isPending}>
        <Trans>Rerun</Trans>
      </Button>
    </>
  );
}
