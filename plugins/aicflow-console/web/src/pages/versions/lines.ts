/** Two texts beside each other: which lines are the same, and which were taken out or put in. */
import { diffArrays } from "diff";

export interface Line {
  number: number;
  text: string;
}

export interface Row {
  before: Line | null;
  after: Line | null;
}

/** Rows that belong together: the same on both sides, or one change. */
export interface Block {
  changed: boolean;
  rows: Row[];
}

export function blocksOf(before: string, after: string): Block[] {
  const blocks: Block[] = [];
  let removed: Line[] = [];
  let added: Line[] = [];
  const numbers = { before: 0, after: 0 };
  const change = () => {
    const rows = Array.from({ length: Math.max(removed.length, added.length) }, (_, at) => ({ before: removed[at] ?? null, after: added[at] ?? null }));
    if (rows.length > 0) blocks.push({ changed: true, rows });
    removed = [];
    added = [];
  };
  for (const part of diffArrays(before.trimEnd().split("\n"), after.trimEnd().split("\n"))) {
    if (part.removed) removed.push(...part.value.map((text) => ({ number: ++numbers.before, text })));
    else if (part.added) added.push(...part.value.map((text) => ({ number: ++numbers.after, text })));
    else {
      change();
      blocks.push({
        changed: false,
        rows: part.value.map((text) => ({ before: { number: ++numbers.before, text }, after: { number: ++numbers.after, text } })),
      });
    }
  }
  change();
  return blocks;
}

/** What of an unchanged block is shown at first: some lines beside the changes. */
export function folded(block: Block, place: "first" | "middle" | "last" | "only", context = 3): { head: Row[]; hidden: Row[]; tail: Row[] } {
  const head = place === "first" || place === "only" ? 0 : context;
  const tail = place === "last" || place === "only" ? 0 : context;
  if (block.rows.length <= head + tail + 1) return { head: block.rows, hidden: [], tail: [] };
  return { head: block.rows.slice(0, head), hidden: block.rows.slice(head, block.rows.length - tail), tail: tail ? block.rows.slice(-tail) : [] };
}
