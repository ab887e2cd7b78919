/** One execution as its events tell it: a state for each node, that a component subscribes to by itself. */
import type { Schemas } from "../api/client";
import { openStream, type StreamEvent } from "./stream";

export interface Attempt {
  number: number;
  from: number;
  to: number | null;
  status: Schemas["StepStatus"];
  /** What it waited for inside of the attempt. */
  waits: [from: number, to: number | null][];
}

export interface LogLine {
  seq: number;
  time: string;
  level: string;
  text: string;
}

export interface StepState {
  status: Schemas["StepStatus"];
  attempts: readonly Attempt[];
  logs: readonly LogLine[];
  /** Tokens of an agent so far; not stored. */
  delta: string;
  wait: Record<string, unknown> | null;
}

type Listener = () => void;
const ENDED = new Set(["execution.succeeded", "execution.failed", "execution.cancelled"]);
const MOST_LOGS = 10_000;
const EXECUTION = "";

const SETTLED: Record<string, Schemas["StepStatus"]> = {
  "step.succeeded": "succeeded",
  "step.failed": "failed",
  "step.skipped": "skipped",
  "step.cancelled": "cancelled",
};

export class ExecutionLive {
  private readonly steps = new Map<string, StepState>();
  private readonly listeners = new Map<string, Set<Listener>>();
  private readonly touched = new Set<string>();
  private version = 0;
  seq = 0;
  ended = false;
  connected = false;
  status: Schemas["ExecutionStatus"] | null = null;

  constructor(readonly id: string) {}

  /** The state of a node; the same object until it changes. */
  step(node: string): StepState | undefined {
    return this.steps.get(node);
  }

  /** All nodes that have begun, in order. */
  all(): IterableIterator<[string, StepState]> {
    return this.steps.entries();
  }

  /** A number that changes with anything. */
  readonly snapshot = (): number => this.version;

  subscribe(node: string, listener: Listener): () => void {
    const set = this.listeners.get(node) ?? new Set();
    this.listeners.set(node, set.add(listener));
    return () => set.delete(listener);
  }

  /** For anything that happens. */
  readonly subscribeAll = (listener: Listener): (() => void) => this.subscribe(EXECUTION, listener);

  /** Follow it until its end; returns what stops that. */
  follow(): () => void {
    return openStream({
      path: `executions/${encodeURIComponent(this.id)}/stream`,
      query: () => ({ after: this.seq }),
      isDone: () => this.ended,
      onState: (connected) => {
        this.connected = connected;
        this.tell();
      },
      onEvents: (events) => this.take(events),
    });
  }

  take(events: readonly StreamEvent[]): void {
    for (const event of events) {
      if (event.seq != null) {
        if (event.seq <= this.seq) continue; // told twice, around a cut
        this.seq = event.seq;
      }
      this.apply(event);
    }
    this.tell();
  }

  private tell(): void {
    this.version += 1;
    for (const node of this.touched) this.listeners.get(node)?.forEach((listener) => listener());
    this.touched.clear();
    this.listeners.get(EXECUTION)?.forEach((listener) => listener());
  }

  private apply(event: StreamEvent): void {
    const time = event.time ? Date.parse(event.time) : 0;
    if (event.type.startsWith("execution.")) {
      this.ended = ENDED.has(event.type);
      const word = event.type.slice("execution.".length);
      this.status = word === "started" || word === "resumed" ? "running" : (word as Schemas["ExecutionStatus"]);
      return;
    }
    const node = event.node_id;
    if (node == null) return;
    const before = this.steps.get(node) ?? { status: "running", attempts: [], logs: [], delta: "", wait: null };
    this.steps.set(node, stepAfter(before, event, time));
    this.touched.add(node);
  }
}

/** What a node's state is after an event of it. */
export function stepAfter(before: StepState, event: StreamEvent, time: number): StepState {
  const attempts = [...before.attempts];
  const last = attempts.at(-1);
  const change = (more: Partial<Attempt>) => {
    if (last) attempts[attempts.length - 1] = { ...last, ...more };
  };
  const waitsEnded = (): Attempt["waits"] => last?.waits.map(([from, to]) => [from, to ?? time]) ?? [];
  const details = (event.data ?? {}) as Record<string, unknown>;
  switch (event.type) {
    case "step.started": {
      const number = event.attempt ?? 1;
      if (last && last.to === null && last.number === number) change({ status: "running", waits: waitsEnded() });
      else attempts.push({ number, from: time, to: null, status: "running", waits: [] });
      return { ...before, status: "running", attempts, wait: null, delta: "" };
    }
    case "step.waiting":
      change({ status: "waiting", waits: [...waitsEnded(), [time, null]] });
      return { ...before, status: "waiting", attempts, wait: details };
    case "step.retrying":
      change({ status: "failed", to: time });
      return { ...before, status: "retrying", attempts };
    case "step.log": {
      const line = { seq: event.seq ?? 0, time: event.time ?? "", level: String(details["level"] ?? "info"), text: String(details["message"] ?? details["text"] ?? JSON.stringify(details)) };
      return { ...before, logs: [...before.logs.slice(-MOST_LOGS), line] };
    }
    case "step.delta": {
      const text = typeof event.data === "string" ? event.data : String(details["text"] ?? details["delta"] ?? "");
      return { ...before, delta: (before.delta + text).slice(-100_000) };
    }
    default: {
      const status = SETTLED[event.type];
      if (status === undefined) return before;
      if (!last) attempts.push({ number: event.attempt ?? 1, from: time, to: time, status, waits: [] });
      else change({ status, to: time, waits: waitsEnded() });
      return { ...before, status, attempts, wait: null };
    }
  }
}
