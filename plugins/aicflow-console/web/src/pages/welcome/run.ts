/** One execution of the demo flow and its steps, asked for again whenever something of it happens. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";

import { api, data, type Schemas } from "../../api/client";
import { openStream } from "../../live/stream";

export interface Run {
  execution: Schemas["Execution"];
  steps: ReadonlyMap<string, Schemas["Step"]>;
}

export function useRun(id: string) {
  const client = useQueryClient();
  const run = useQuery({
    queryKey: ["welcome", "run", id],
    enabled: id !== "",
    staleTime: Infinity,
    refetchInterval: (query) => (query.state.data?.execution.finished_at == null ? 2_000 : false), // where no stream passes
    queryFn: async (): Promise<Run> => {
      const params = { path: { execution_id: id } };
      // in this order: when the execution has ended, so have the steps that are read after it
      const execution = await data(api.GET("/api/v1/executions/{execution_id}", { params }));
      const steps = await data(
        api.GET("/api/v1/executions/{execution_id}/steps", { params: { ...params, query: { fields: "output" } } }),
      );
      return { execution, steps: new Map(steps.data.map((step) => [step.node_id, step])) };
    },
  });
  const ended = run.data?.execution.finished_at != null;
  const gone = run.isError;
  useEffect(() => {
    if (id === "" || ended || gone) return;
    let over = false;
    return openStream({
      path: `executions/${encodeURIComponent(id)}/stream`,
      query: () => ({}),
      isDone: () => over,
      onState: () => undefined,
      onEvents: (events) => {
        over ||= events.some((event) => /^execution\.(succeeded|failed|cancelled)$/.test(event.type));
        void client.invalidateQueries({ queryKey: ["welcome", "run", id] });
      },
    });
  }, [client, id, ended, gone]);
  return run;
}
