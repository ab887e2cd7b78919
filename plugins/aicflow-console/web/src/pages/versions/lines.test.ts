import { expect, test } from "vitest";

import { blocksOf, folded } from "./lines";

const numbered = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => `line ${from + at}`).join("\n");

test("what was changed stands beside what it was", () => {
  const blocks = blocksOf("a\nb\nc\n", "a\nB\nB2\nc\n");
  expect(blocks.map((block) => [block.changed, block.rows.length])).toEqual([[false, 1], [true, 2], [false, 1]]);
  expect(blocks[1]?.rows).toEqual([
    { before: { number: 2, text: "b" }, after: { number: 2, text: "B" } },
    { before: null, after: { number: 3, text: "B2" } },
  ]);
  expect(blocks[2]?.rows[0]).toEqual({ before: { number: 3, text: "c" }, after: { number: 4, text: "c" } });
});

test("equal texts have no change", () => expect(blocksOf("a\nb", "a\nb\n").some((block) => block.changed)).toBe(false));

test("far from changes, lines are folded", () => {
  const [first, , last] = blocksOf(`${numbered(1, 20)}\nx\n${numbered(21, 24)}`, `${numbered(1, 20)}\ny\n${numbered(21, 24)}`);
  const parts = folded(first!, "first");
  expect([parts.head.length, parts.hidden.length, parts.tail.length]).toEqual([0, 17, 3]);
  expect(folded(last!, "last")).toMatchObject({ head: { length: 4 }, hidden: [] });
});
