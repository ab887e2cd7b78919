import { expect, test } from "vitest";

import { arrange, HEIGHT, WIDTH } from "./arrange";
import { graphOf, neighbour, type Document } from "./model";

const node = (id: string) => ({ id, type: "python.code" });
const overlap = (places: ReturnType<typeof arrange>) => {
  const sorted = [...places].sort((a, b) => a[1] - b[1]);
  return sorted.flatMap(([id, x, y], at) =>
    sorted.slice(at + 1).filter(([, x2, y2]) => x2 - x < WIDTH && Math.abs(y2 - y) < HEIGHT).map(([other]) => [id, other]),
  );
};

test("triggers lead to what nothing else leads to; error edges are told apart", () => {
  const graph = graphOf({
    triggers: [{ id: "hook", type: "trigger.webhook" }],
    nodes: [node("a"), node("b"), { id: "each", map: { over: [], nodes: [node("c"), node("d")] } }],
    edges: [{ from: "a", to: "b", port: "error" }, { from: "a", to: "each" }, { from: "a", to: "nowhere" }],
  } as unknown as Partial<Document>);
  expect(graph.nodes.map((one) => [one.id, one.type, one.inside])).toEqual([
    ["a", "python.code", 0], ["b", "python.code", 0], ["each", "map", 2], ["trigger:hook", "trigger.webhook", 0],
  ]);
  expect(graph.edges.map((one) => [one.from, one.to, one.isError, one.isStart])).toEqual([
    ["a", "b", true, false], ["a", "each", false, false], ["trigger:hook", "a", false, true],
  ]);
});

test.each([1, 20, 500])("no two of %d nodes overlap, and the layout is the same each time", (count) => {
  const nodes = Array.from({ length: count }, (_, at) => node(`n${at}`));
  const edges = nodes.slice(1).map((one, at) => ({ from: `n${Math.floor(at / 3)}`, to: one.id, port: at % 7 ? "main" : "error" }));
  const graph = graphOf({ nodes, edges } as unknown as Partial<Document>);
  const places = arrange(graph);
  expect(places).toHaveLength(count);
  expect(overlap(places)).toEqual([]);
  expect(arrange(graph)).toEqual(places);
});

test("arrow keys go along the edges and to what is beside", () => {
  const nodes = ["a", "b", "c"].map(node);
  const graph = graphOf({ nodes, edges: [{ from: "a", to: "b" }, { from: "a", to: "c" }] } as unknown as Partial<Document>);
  const places = new Map(arrange(graph).map(([id, x, y]) => [id, { x, y }]));
  const first = neighbour(graph, places, "a", "ArrowRight")!;
  expect(["b", "c"]).toContain(first);
  const [upper, lower] = places.get("b")!.y < places.get("c")!.y ? ["b", "c"] : ["c", "b"];
  expect(neighbour(graph, places, upper, "ArrowDown")).toBe(lower);
  expect(neighbour(graph, places, lower, "ArrowUp")).toBe(upper);
  expect(neighbour(graph, places, upper, "ArrowLeft")).toBe("a");
  expect(neighbour(graph, places, upper, "ArrowRight")).toBeNull();
});
