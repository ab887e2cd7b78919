import { expect, test, vi } from "vitest";

vi.mock("./stream", () => ({ openStream: () => () => undefined }));
const { ExecutionLive } = await import("./execution");

const at = (second: number) => new Date(second * 1000).toISOString();
const event = (seq: number, type: string, node?: string, more: object = {}) => ({
  seq, type, time: at(seq), node_id: node, attempt: 1, data: {}, ...more,
});

test("attempts, waits and retries are told by events, once each", () => {
  const live = new ExecutionLive("ex");
  const events = [
    event(1, "execution.started"),
    event(2, "step.started", "a"),
    event(3, "step.retrying", "a"),
    event(4, "step.started", "a", { attempt: 2 }),
    event(5, "step.waiting", "a", { attempt: 2, data: { message: "?" } }),
    event(6, "step.started", "a", { attempt: 2 }),
    event(7, "step.log", "a", { attempt: 2, data: { level: "info", message: "hi" } }),
    event(8, "step.succeeded", "a", { attempt: 2 }),
    event(9, "execution.succeeded"),
  ];
  live.take(events.slice(0, 5) as never);
  expect(live.step("a")?.wait).toEqual({ message: "?" });
  live.take(events as never); // a stream that came back tells some again
  const step = live.step("a")!;
  expect(step.attempts.map((one) => [one.number, one.status, one.from, one.to])).toEqual([
    [1, "failed", 2000, 3000], [2, "succeeded", 4000, 8000],
  ]);
  expect(step.attempts[1]?.waits).toEqual([[5000, 6000]]);
  expect(step.logs.map((line) => line.text)).toEqual(["hi"]);
  expect([live.status, live.ended, live.seq]).toEqual(["succeeded", true, 9]);
});

test("only the listeners of nodes that changed are told, once a batch", () => {
  const live = new ExecutionLive("ex");
  const told: string[] = [];
  for (const node of ["a", "b"]) live.subscribe(node, () => told.push(node));
  const other = live.step("b");
  live.take([event(1, "step.started", "a"), event(2, "step.succeeded", "a")] as never);
  expect(told).toEqual(["a"]);
  expect(live.step("b")).toBe(other);
});
