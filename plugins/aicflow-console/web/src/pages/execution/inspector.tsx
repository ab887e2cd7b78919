/** A node from the inside: its attempts, error, output, logs and params, and what it asks when it waits. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState, useSyncExternalStore } from "react";
import { Button } from "react-aria-components";
import { Link, useLocation } from "wouter";

import { api, data, Problem, SERVER, type Schemas } from "../../api/client";
import { may, useSession } from "../../api/session";
import type { Graph } from "../../graph/model";
import type { ExecutionLive, LogLine } from "../../live/execution";
import { Failure } from "../../ui/failure";
import { useFilters } from "../../ui/filters";
import { JsonView } from "../../ui/json";
import { SchemaForm } from "../../ui/schema-form";
import { Failed, Loading, Refused } from "../../ui/states";
import { StatusBadge } from "../../ui/status";
import { Tabs } from "../../ui/tabs";
import { duration } from "../../ui/time";

const MOST_BYTES = 1_048_576;
const LINES = 500;

interface InspectorProps {
  execution: Schemas["Execution"];
  live: ExecutionLive;
  node: string;
  graph: Graph;
}

/** The step itself: only its page of the list, found by its status being what the events tell. */
function useStep(id: string, node: string, changed: string) {
  return useQuery({
    queryKey: ["step", id, node, changed],
    placeholderData: (before: Schemas["Step"] | null | undefined) => before,
    queryFn: async () => {
      let cursor: string | undefined;
      do {
        const page = await data(
          api.GET("/api/v1/executions/{execution_id}/steps", { params: { path: { execution_id: id }, query: { limit: 200, cursor } } }),
        );
        const found = page.data.find((one) => one.node_id === node);
        if (found) return found;
        cursor = page.next_cursor ?? undefined;
      } while (cursor !== undefined);
      return null;
    },
  });
}

export function Inspector({ execution, live, node, graph }: InspectorProps) {
  const { t } = useLingui();
  const state = useSyncExternalStore(
    (listener) => live.subscribe(node, listener),
    () => live.step(node),
  );
  const entry = graph.nodes.find((one) => one.id === node);
  const step = useStep(execution.id, node, `${state?.status} ${state?.attempts.length}`);
  const [{ part }, set] = useFilters(["part"]);
  const status = state?.status ?? step.data?.status;
  const attempts = state?.attempts ?? [];
  return (
    <>
      <h2 className="row">
        <span data-text>{entry?.name ?? node}</span>
        {status ? (
          <StatusBadge status={status} />
        ) : (
          <span className="soft">
            <Trans>not reached</Trans>
          </span>
        )}
      </h2>
      <div className="row">
        <code className="soft">{entry?.type}</code>
        {execution.finished_at && entry?.entry && <RerunFrom execution={execution} node={node} />}
      </div>
      {status === "waiting" && <Waiting execution={execution} node={node} wait={step.data?.wait ?? state?.wait ?? null} />}
      {step.data?.error && <Failure failure={step.data.error} />}
      {state?.delta && (
        <div>
          <h3>
            <Trans>Written so far</Trans>
          </h3>
          <pre className="json" role="log" aria-label={t`Written so far`} tabIndex={0}>
            {state.delta}
          </pre>
        </div>
      )}
      <Tabs
        label={t`Parts of the step`}
        selected={part}
        onSelect={(next) => set({ part: next === "output" ? "" : next })}
        items={[
          { id: "output", title: <Trans>Output</Trans>, content: () => <Output execution={execution.id} node={node} done={status === "succeeded"} port={step.data?.port ?? null} /> },
          { id: "params", title: <Trans>Params</Trans>, content: () => <JsonView value={entry?.entry?.params ?? entry?.trigger?.params ?? {}} label={t`Params as written`} /> },
          { id: "logs", title: <Trans>Logs ({state?.logs.length ?? 0})</Trans>, content: () => <Logs lines={state?.logs ?? []} /> },
          {
            id: "attempts",
            title: <Trans>Attempts ({attempts.length})</Trans>,
            content: () => (
              <ol className="stack">
                {attempts.map((attempt, at) => (
                  <li key={at} className="row">
                    <span className="num">{attempt.number}</span>
                    <StatusBadge status={attempt.status} />
                    {attempt.to !== null && <span className="took">{duration(attempt.to - attempt.from)}</span>}
                    {attempt.waits.length > 0 && <Plural value={attempt.waits.length} one="waited once" other="waited # times" />}
                  </li>
                ))}
              </ol>
            ),
          },
        ]}
      />
    </>
  );
}

/** The output, when it is small enough to be looked at; else the begin of it and the whole as a file. */
function Output({ execution, node, done, port }: { execution: string; node: string; done: boolean; port: string | null }) {
  const { t } = useLingui();
  const url = new URL(`api/v1/executions/${encodeURIComponent(execution)}/steps/${encodeURIComponent(node)}/output`, SERVER).href;
  const output = useQuery({
    queryKey: ["output", execution, node],
    enabled: done,
    staleTime: Infinity,
    queryFn: async () => {
      const answer = await fetch(url, { headers: { Range: `bytes=0-${MOST_BYTES - 1}` } });
      if (!answer.ok) throw new Problem(answer.status, (await answer.json().catch(() => ({}))) as Partial<Schemas["ProblemDocument"]>);
      const text = await answer.text();
      const size = Number(answer.headers.get("content-range")?.split("/")[1] ?? 0);
      return size > MOST_BYTES ? { size, text: text.slice(0, 20_000) } : { value: JSON.parse(text) as unknown };
    },
  });
  if (!done) {
    return (
      <p className="soft">
        <Trans>There is no output.</Trans>
      </p>
    );
  }
  if (output.error) return <Failed error={output.error} retry={() => void output.refetch()} />;
  if (output.data === undefined) return <Loading lines={2} />;
  const megabytes = "size" in output.data ? (output.data.size! / 1e6).toFixed(1) : "";
  return (
    <div className="stack">
      {port && port !== "main" && (
        <p>
          <Trans>
            It left by the port <code>{port}</code>.
          </Trans>
        </p>
      )}
      {"value" in output.data ? (
        <JsonView value={output.data.value} label={t`Output`} />
      ) : (
        <>
          <p>
            <Trans>The output has {megabytes} MB; this is how it begins.</Trans>
          </p>
          <pre className="json" tabIndex={0} role="region" aria-label={t`Output`}>
            {output.data.text}
          </pre>
          <a className="button" href={url} download={`${execution}-${node}.json`}>
            <Trans>Download all</Trans>
          </a>
        </>
      )}
    </div>
  );
}

function Logs({ lines }: { lines: readonly LogLine[] }) {
  const { t } = useLingui();
  const [text, setText] = useState("");
  const [shown, setShown] = useState(LINES);
  useEffect(() => setShown(LINES), [text]);
  const wanted = text.toLowerCase();
  const found = wanted ? lines.filter((line) => `${line.level} ${line.text}`.toLowerCase().includes(wanted)) : lines;
  if (lines.length === 0) {
    return (
      <p className="soft">
        <Trans>It has logged nothing.</Trans>
      </p>
    );
  }
  return (
    <div className="stack">
      <div className="field">
        <input type="search" aria-label={t`Filter the log`} placeholder={t`Filter`} value={text} onChange={(event) => setText(event.target.value)} />
      </div>
      <div className="log" role="log" aria-label={t`Log`} tabIndex={0} data-text>
        {found.slice(-shown).map((line) => (
          <div key={line.seq}>
            <span className="soft">{line.time.slice(11, 23)}</span> {line.level !== "info" && <b>{line.level} </b>}
            {line.text}
          </div>
        ))}
      </div>
      {found.length > shown && (
        <Button className="button small" onPress={() => setShown(shown * 4)}>
          <Trans>Show earlier lines ({found.length - shown})</Trans>
        </Button>
      )}
    </div>
  );
}

/** What a waiting step asks: a form of its schema, and the other ways out. */
function Waiting({ execution, node, wait }: { execution: Schemas["Execution"]; node: string; wait: Record<string, unknown> | null }) {
  const { t } = useLingui();
  const session = useSession();
  const client = useQueryClient();
  const answer = useMutation({
    mutationFn: (body: Partial<Schemas["ResumeExecution"]>) =>
      data(
        api.POST("/api/v1/executions/{execution_id}/resume", {
          params: { path: { execution_id: execution.id } },
          body: { node_id: node, ...body } as Schemas["ResumeExecution"],
        }),
      ),
    onSettled: () => client.invalidateQueries({ queryKey: ["execution", execution.id] }),
  });
  const child = typeof wait?.["child"] === "string" ? wait["child"] : null;
  return (
    <div className="card stack">
      {typeof wait?.["message"] === "string" && <p data-text>{wait["message"]}</p>}
      {child && (
        <p>
          <Trans>
            It waits for <Link className="mono" href={`/executions/${child}`}>{child}</Link>.
          </Trans>
        </p>
      )}
      {may(session.data, "execute") && (
        <>
          {wait?.["answer_schema"] !== undefined && (
            <SchemaForm
              schema={wait["answer_schema"]}
              submit={t`Answer`}
              busy={answer.isPending}
              onSubmit={(value) => answer.mutate({ action: "answered", value: value as never })}
            />
          )}
          <div className="row">
            <Button className="button small" onPress={() => answer.mutate({ action: "skip" })}>
              <Trans>Skip the step</Trans>
            </Button>
            <Button className="button small danger" onPress={() => answer.mutate({ action: "fail" })}>
              <Trans>Fail the step</Trans>
            </Button>
          </div>
        </>
      )}
      <Refused error={answer.error} />
    </div>
  );
}

function RerunFrom({ execution, node }: { execution: Schemas["Execution"]; node: string }) {
  const session = useSession();
  const [, go] = useLocation();
  const rerun = useMutation({
    mutationFn: () =>
      data(
        api.POST("/api/v1/executions/{execution_id}/rerun", {
          params: { path: { execution_id: execution.id } },
          body: { from_node: node } as Schemas["RerunExecution"],
        }),
      ),
    onSuccess: (made) => go(`/executions/${made.id}?node=${encodeURIComponent(node)}`),
  });
  if (!may(session.data, "execute")) return null;
  return (
    <>
      <Button className="button small" onPress={() => rerun.mutate()} isDisabled={rerun.isPending}>
        <Trans>Rerun from here</Trans>
      </Button>
      <Refused error={rerun.error} />
    </>
  );
}
