/** A workflow document as boxes and arrows. Bodies (map, repeat, group) are boxes whose content is counted, not drawn. */
import type { Schemas } from "../api/client";

export type NodeEntry = Schemas["NodeEntry"];
export type Document = Schemas["WorkflowDocument"];

export interface GraphNode {
  id: string;
  /** What a person calls it. */
  name: string;
  /** The node type, or the kind of body. */
  type: string;
  entry: NodeEntry | null;
  trigger: Schemas["TriggerEntry"] | null;
  /** How many nodes its body has. */
  inside: number;
}

export interface GraphEdge {
  id: string;
  from: string;
  to: string;
  port: string;
  isError: boolean;
  /** Drawn from a trigger: not in the document. */
  isStart: boolean;
}

export interface Graph {
  nodes: GraphNode[];
  edges: GraphEdge[];
}

export const TRIGGER = "trigger:";

function bodyOf(entry: NodeEntry): { kind: string; nodes: readonly NodeEntry[] } | null {
  for (const kind of ["map", "repeat", "group"] as const) {
    const body = entry[kind];
    if (body) return { kind, nodes: body.nodes };
  }
  return null;
}

function count(nodes: readonly NodeEntry[]): number {
  return nodes.reduce((sum, node) => sum + 1 + count(bodyOf(node)?.nodes ?? []), 0);
}

/** The outer level of a document. Entries that validation would refuse are drawn as far as they can be. */
export function graphOf(document: Partial<Document>): Graph {
  const nodes: GraphNode[] = (document.nodes ?? []).map((entry) => {
    const body = bodyOf(entry);
    return {
      id: entry.id,
      name: entry.name || entry.id,
      type: entry.type ?? body?.kind ?? "?",
      entry,
      trigger: null,
      inside: body ? count(body.nodes) : 0,
    };
  });
  const known = new Set(nodes.map((node) => node.id));
  const edges: GraphEdge[] = (document.edges ?? [])
    .filter((edge) => known.has(edge.from) && known.has(edge.to))
    .map((edge, at) => ({
      id: `${at}:${edge.from}:${edge.port ?? "main"}:${edge.to}`,
      from: edge.from,
      to: edge.to,
      port: edge.port ?? "main",
      isError: edge.port === "error",
      isStart: false,
    }));
  const reached = new Set(edges.map((edge) => edge.to));
  const first = nodes.filter((node) => !reached.has(node.id));
  for (const trigger of document.triggers ?? []) {
    const id = TRIGGER + trigger.id;
    nodes.push({ id, name: trigger.id, type: trigger.type, entry: null, trigger, inside: 0 });
    for (const node of first)
      edges.push({ id: `${id}:${node.id}`, from: id, to: node.id, port: "main", isError: false, isStart: true });
  }
  return { nodes, edges };
}

/** Where an arrow key leads from a node: along the edges, or to the nearest beside it. */
export function neighbour(
  graph: Graph,
  places: ReadonlyMap<string, { x: number; y: number }>,
  from: string,
  key: string,
): string | null {
  const here = places.get(from);
  if (here === undefined) return null;
  const distance = (id: string) => {
    const place = places.get(id);
    return place === undefined ? Infinity : Math.hypot(place.x - here.x, place.y - here.y);
  };
  const nearest = (ids: string[]) => ids.sort((a, b) => distance(a) - distance(b))[0] ?? null;
  if (key === "ArrowRight") return nearest(graph.edges.filter((edge) => edge.from === from).map((edge) => edge.to));
  if (key === "ArrowLeft") return nearest(graph.edges.filter((edge) => edge.to === from).map((edge) => edge.from));
  const sign = key === "ArrowDown" ? 1 : key === "ArrowUp" ? -1 : 0;
  if (sign === 0) return null;
  return nearest(
    graph.nodes.map((node) => node.id).filter((id) => {
      const place = places.get(id);
      return id !== from && place !== undefined && (place.y - here.y) * sign > 1 && Math.abs(place.x - here.x) < 140;
    }),
  );
}
