/** The steps of a run as they happen, and what is different between two runs. */
import { Trans, useLingui } from "@lingui/react/macro";
import type { UseQueryResult } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { Link } from "wouter";

import type { Schemas } from "../../api/client";
import { Loaded } from "../../ui/states";
import { StatusBadge } from "../../ui/status";
import { Table } from "../../ui/table";
import { Took } from "../../ui/time";
import type { DemoFlow } from "./demo";
import type { Run } from "./run";

const LONGEST = 200;

interface RunStepsProps {
  flow: DemoFlow;
  id: string;
  run: UseQueryResult<Run>;
  second: boolean;
  isFocused: boolean;
}

export function RunSteps({ flow, id, run, second, isFocused }: RunStepsProps) {
  const { t } = useLingui();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (isFocused) heading.current?.focus();
  }, [isFocused]);
  const label = second ? t`Second run` : t`First run`;
  return (
    <section className="stack" aria-label={label}>
      <div className="row">
        <h3 ref={heading} tabIndex={-1} className="grow">
          {label}
        </h3>
        <Link href={`/executions/${encodeURIComponent(id)}`}>{second ? t`Open the second execution` : t`Open the first execution`}</Link>
      </div>
      <Loaded query={run}>
        {({ execution, steps }) => (
          <>
            <div role="status" className="row">
              <StatusBadge status={execution.status} />
              {execution.error && <span lang="en">{execution.error.message}</span>}
            </div>
            <Table
              label={t`Steps`}
              rows={flow.nodes}
              rowKey={(node) => node}
              columns={[
                { id: "step", title: t`Step`, cell: (node) => <code>{node}</code> },
                { id: "status", title: t`Status`, cell: (node) => <State step={steps.get(node)} /> },
                {
                  id: "took",
                  title: t`Duration`,
                  numeric: true,
                  cell: (node) => <Took from={steps.get(node)?.started_at} to={steps.get(node)?.finished_at} />,
                },
                { id: "output", title: t`Output`, cell: (node) => <Output step={steps.get(node)} /> },
              ]}
            />
          </>
        )}
      </Loaded>
    </section>
  );
}

export function Comparison({ flow, first, second }: { flow: DemoFlow; first: Run; second: Run }) {
  const { t } = useLingui();
  const rows = [
    { id: "input", name: t`Input`, cells: [first, second].map((run) => text(run.execution.input)) },
    ...flow.nodes.map((node) => ({ id: `node ${node}`, name: node, cells: [first, second].map((run) => told(run.steps.get(node))) })),
    { id: "output", name: t`Output`, cells: [first, second].map((run) => text(run.execution.output)) },
  ];
  const changed = (row: (typeof rows)[number]) => row.cells[0] !== row.cells[1];
  return (
    <section className="stack" aria-label={t`What changed`}>
      <h3>
        <Trans>What changed</Trans>
      </h3>
      <Table
        label={t`What changed`}
        rows={rows}
        rowKey={(row) => row.id}
        columns={[
          { id: "step", title: t`Step`, cell: (row) => (row.id.startsWith("node ") ? <code>{row.name}</code> : row.name) },
          { id: "first", title: t`First run`, cell: (row) => <code>{row.cells[0]}</code> },
          { id: "second", title: t`Second run`, cell: (row) => <code>{row.cells[1]}</code> },
          { id: "changed", title: t`Difference`, cell: (row) => (changed(row) ? <b>{t`changed`}</b> : <span className="soft">{t`same`}</span>) },
        ]}
      />
    </section>
  );
}

function State({ step }: { step: Schemas["Step"] | undefined }) {
  if (step !== undefined) return <StatusBadge status={step.status} />;
  return (
    <span className="soft">
      <Trans>not yet</Trans>
    </span>
  );
}

function Output({ step }: { step: Schemas["Step"] | undefined }) {
  if (step?.error) return <span lang="en">{step.error.message}</span>;
  if (step?.status !== "succeeded") return <span className="soft">–</span>;
  return <code>{told(step)}</code>;
}

/** What a step did, in a few words of data: what it returned, or the way a branch went. */
function told(step: Schemas["Step"] | undefined): string {
  if (step?.status !== "succeeded") return step?.status ?? "–";
  if (step.port !== null && step.port !== "main") return `→ ${step.port}`;
  return text(step.output);
}

function text(value: unknown): string {
  const all = JSON.stringify(value) ?? "null";
  return all.length > LONGEST ? `${all.slice(0, LONGEST)}…` : all;
}
