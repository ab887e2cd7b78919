/** A layered layout, left to right. Pure, so that the worker and the tests share it. */
import { Graph as Dagre, layout as dagreLayout } from "@dagrejs/dagre";

import type { Graph } from "./model";

export const WIDTH = 200;
export const HEIGHT = 64;
export type Places = [id: string, x: number, y: number][];

export function arrange(graph: Graph): Places {
  const dagre = new Dagre({ multigraph: true });
  dagre.setGraph({ rankdir: "LR", nodesep: 36, ranksep: 90, marginx: 20, marginy: 20 });
  dagre.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes) dagre.setNode(node.id, { width: WIDTH, height: HEIGHT });
  for (const edge of graph.edges) dagre.setEdge(edge.from, edge.to, { weight: edge.isError ? 1 : 2 }, edge.id);
  dagreLayout(dagre);
  return graph.nodes.map((node) => {
    const { x, y } = dagre.node(node.id) as { x: number; y: number };
    return [node.id, Math.round(x - WIDTH / 2), Math.round(y - HEIGHT / 2)];
  });
}
