/** Places of a graph's nodes, from the worker. */
import { useQuery } from "@tanstack/react-query";

import type { Places } from "./arrange";
import type { Graph } from "./model";

let worker: Worker | null = null;
let last = 0;
const waiting = new Map<number, (places: Places) => void>();

export function layout(graph: Graph): Promise<Places> {
  if (worker === null) {
    worker = new Worker(new URL("./layout.worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = (message: MessageEvent<{ id: number; places: Places }>) => {
      waiting.get(message.data.id)?.(message.data.places);
      waiting.delete(message.data.id);
    };
  }
  const id = ++last;
  // only what the layout needs crosses over
  const bare: Graph = { nodes: graph.nodes.map((node) => ({ ...node, entry: null, trigger: null })), edges: graph.edges };
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    worker?.postMessage({ id, graph: bare });
  });
}

/** The places, once they are known; kept while the shape of the graph stays. */
export function useLayout(graph: Graph) {
  const shape = [graph.nodes.map((node) => node.id), graph.edges.map((edge) => edge.id)];
  return useQuery({
    queryKey: ["layout", ...shape],
    queryFn: async () => new Map((await layout(graph)).map(([id, x, y]) => [id, { x, y }])),
    staleTime: Infinity,
  });
}
