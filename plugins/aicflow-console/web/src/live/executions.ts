/** What happens to all executions, for lists: they are asked for again, not more than about once a second. */
import { useQueryClient, type QueryKey } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { openStream } from "./stream";

const EVERY = 1_000;

/** Keep the queries under this key fresh; returns whether the stream stands. */
export function useLiveExecutions(workflowId: string, key: QueryKey): boolean {
  const client = useQueryClient();
  const [connected, setConnected] = useState(false);
  const id = JSON.stringify(key);
  useEffect(() => {
    let timer = 0;
    const refresh = () => {
      timer = 0;
      void client.invalidateQueries({ queryKey: JSON.parse(id) as QueryKey });
    };
    const close = openStream({
      path: "executions/stream",
      query: () => (workflowId ? { workflow_id: workflowId } : ({} as Record<string, string>)),
      onState: (now) => {
        setConnected(now);
        if (now) timer ||= window.setTimeout(refresh, EVERY); // what happened before it stood
      },
      onEvents: (events) => {
        if (events.some((event) => event.type.startsWith("execution.") || event.type === "stream.lost"))
          timer ||= window.setTimeout(refresh, EVERY);
      },
    });
    return () => {
      clearTimeout(timer);
      close();
    };
  }, [client, workflowId, id]);
  return connected;
}
