/** One workflow: its canvas, and what is known of the node that is selected; run it. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Button } from "react-aria-components";
import { Link, useLocation } from "wouter";

import { api, data, type Schemas } from "../../api/client";
import { may, useSession } from "../../api/session";
import { Canvas } from "../../graph/canvas";
import { graphOf, type Document, type Graph, type GraphNode } from "../../graph/model";
import { ModalDialog } from "../../ui/dialog";
import { useFilters } from "../../ui/filters";
import { JsonView } from "../../ui/json";
import { Page } from "../../ui/page";
import { SchemaForm } from "../../ui/schema-form";
import { useShortcuts } from "../../ui/shortcuts";
import { Empty, Loaded, Refused } from "../../ui/states";
import { Instant } from "../../ui/time";

export default function WorkflowPage({ params }: { params: Record<string, string> }) {
  const id = params["id"] ?? "";
  const { t } = useLingui();
  const workflow = useQuery({
    queryKey: ["workflow", id],
    queryFn: () => data(api.GET("/api/v1/workflows/{workflow_id}", { params: { path: { workflow_id: id } } })),
  });
  return (
    <Page
      full
      title={workflow.data?.name ?? id}
      heading={<span data-text>{workflow.data?.name ?? id}</span>}
      crumbs={
        <Link href="/workflows">
          <Trans>Workflows</Trans>
        </Link>
      }
      actions={workflow.data && <Actions workflow={workflow.data} />}
    >
      <Loaded query={workflow}>{(found) => <Opened workflow={found} label={t`Selected node`} />}</Loaded>
    </Page>
  );
}

function Actions({ workflow }: { workflow: Schemas["Workflow"] }) {
  const { t } = useLingui();
  const session = useSession();
  const [, go] = useLocation();
  const [open, setOpen] = useState(false);
  const run = useMutation({
    mutationFn: (input: unknown) => data(api.POST("/api/v1/executions", { body: { workflow_id: workflow.id, input } as Schemas["StartExecution"] })),
    onSuccess: (made) => go(`/executions/${made.id}`),
  });
  const canRun = may(session.data, "execute");
  useShortcuts(t`Workflow`, canRun ? [{ keys: "r", label: t`Run the workflow`, run: () => setOpen(true) }] : []);
  return (
    <>
      <span className="soft">
        {workflow.enabled ? <Trans>Enabled</Trans> : <Trans>Disabled</Trans>} · <Trans>version {workflow.version}</Trans> · <Instant at={workflow.updated_at} />
      </span>
      <Link className="button" href={`/workflows/${encodeURIComponent(workflow.id)}/versions`}><Trans>Versions</Trans></Link>
      <Link className="button" href={`/executions?workflow_id=${encodeURIComponent(workflow.id)}`}>
        <Trans>Its executions</Trans>
      </Link>
      {canRun && (
        <Button className="button primary" onPress={() => setOpen(true)} isDisabled={!workflow.enabled}>
          <Trans>Run…</Trans>
        </Button>
      )}
      <ModalDialog title={t`Run the workflow`} isOpen={open} onClose={() => setOpen(false)}>
        <SchemaForm
          schema={(workflow.document as Partial<Document>).input_schema}
          submit={t`Run`}
          busy={run.isPending}
          onSubmit={(input) => run.mutate(input)}
        />
        <Refused error={run.error} />
      </ModalDialog>
    </>
  );
}

function Opened({ workflow, label }: { workflow: Schemas["Workflow"]; label: string }) {
  const graph = useMemo(() => graphOf(workflow.document as Partial<Document>), [workflow.document]);
  const [{ node }, set] = useFilters(["node"]);
  if (graph.nodes.length === 0) return <Empty title={<Trans>This workflow has no nodes</Trans>} />;
  const selected = graph.nodes.find((one) => one.id === node);
  return (
    <div className="split">
      <Canvas graph={graph} selected={node || null} onSelect={(id) => set({ node: id ?? "" })} />
      <section className="panel stack" aria-label={label}>
        {selected ? <About node={selected} graph={graph} go={(id) => set({ node: id })} /> : <Overview graph={graph} go={(id) => set({ node: id })} workflow={workflow} />}
      </section>
    </div>
  );
}

/** The graph as a list: the equal of the canvas for screen readers, and how one reads it on a phone. */
function Overview({ graph, go, workflow }: { graph: Graph; go: (id: string) => void; workflow: Schemas["Workflow"] }) {
  return (
    <>
      {workflow.description && <p data-text>{workflow.description}</p>}
      <h2>
        <Trans>Nodes</Trans>
      </h2>
      <ul className="stack" style={{ gap: ".3rem" }}>
        {graph.nodes.map((node) => (
          <li key={node.id} className="row">
            <Button className="button small" onPress={() => go(node.id)}>
              <span data-text>{node.name}</span>
            </Button>
            <code className="soft">{node.type}</code>
            <Next graph={graph} id={node.id} />
          </li>
        ))}
      </ul>
    </>
  );
}

function Next({ graph, id }: { graph: Graph; id: string }) {
  const next = graph.edges.filter((edge) => edge.from === id).map((edge) => (edge.port === "main" ? edge.to : `${edge.port}: ${edge.to}`));
  if (next.length === 0) return null;
  return (
    <span className="soft">
      → <code>{next.join(", ")}</code>
    </span>
  );
}

function About({ node, graph, go }: { node: GraphNode; graph: Graph; go: (id: string) => void }) {
  const { t } = useLingui();
  const entry = node.entry ?? node.trigger;
  const { id: _id, type: _type, params, ...rest } = (entry ?? {}) as Record<string, unknown>;
  const edges = graph.edges.filter((edge) => edge.from === node.id || edge.to === node.id);
  return (
    <>
      <h2 data-text>{node.name}</h2>
      <p>
        <code>{node.type}</code> {node.entry?.description && <span data-text>{node.entry.description}</span>}
      </p>
      {edges.length > 0 && (
        <ul className="row" aria-label={t`Edges`}>
          {edges.map((edge) => {
            const other = edge.from === node.id ? edge.to : edge.from;
            return (
              <li key={edge.id}>
                <Button className="button small" onPress={() => go(other)}>
                  <span data-text>
                    {edge.from === node.id ? "→" : "←"} {edge.port === "main" ? "" : `${edge.port}: `}
                    {other}
                  </span>
                </Button>
              </li>
            );
          })}
        </ul>
      )}
      <h3>
        <Trans>Params as written</Trans>
      </h3>
      <JsonView key={node.id} value={params ?? {}} label={t`Params as written`} />
      {Object.keys(rest).length > 0 && (
        <>
          <h3>
            <Trans>Settings</Trans>
          </h3>
          <JsonView key={`${node.id} settings`} value={rest} label={t`Settings`} />
        </>
      )}
    </>
  );
}
