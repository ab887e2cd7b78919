/** A stream of events over a WebSocket that comes back after cuts, and hands events over once a frame. */
import { streamUrl, type Schemas } from "../api/client";

export type StreamEvent = Schemas["StreamEvent"];

export interface StreamOptions {
  path: string;
  /** Asked for at each connection, so that a stream goes on where it broke off. */
  query: () => Record<string, string | number>;
  onEvents: (events: StreamEvent[]) => void;
  onState: (connected: boolean) => void;
  /** Whether there is nothing more to come, so that a closed stream stays closed. */
  isDone?: () => boolean;
}

const SLOWEST = 15_000;

/** Open the stream; returns what closes it. */
export function openStream({ path, query, onEvents, onState, isDone = () => false }: StreamOptions): () => void {
  let closed = false;
  let socket: WebSocket | null = null;
  let wait = 500;
  let timer = 0;
  let frame = 0;
  let waiting: StreamEvent[] = [];
  const hand = () => {
    frame = 0;
    const events = waiting;
    waiting = [];
    onEvents(events);
  };
  const connect = () => {
    socket = new WebSocket(streamUrl(path, query()), ["aicflow.v1"]);
    socket.onopen = () => {
      wait = 500;
      onState(true);
    };
    socket.onmessage = (message) => {
      // a message has one event, or several with a line for each
      for (const line of String(message.data).split("\n")) if (line) waiting.push(JSON.parse(line) as StreamEvent);
      // a hidden page has no frames; what it is told must not pile up there
      if (document.hidden) hand();
      else frame ||= requestAnimationFrame(hand);
    };
    socket.onclose = () => {
      if (waiting.length > 0) hand();
      onState(false);
      if (closed || isDone()) return;
      timer = window.setTimeout(connect, wait * (0.75 + Math.random() / 2));
      wait = Math.min(wait * 2, SLOWEST);
    };
  };
  connect();
  return () => {
    closed = true;
    clearTimeout(timer);
    cancelAnimationFrame(frame);
    if (socket?.readyState === WebSocket.CONNECTING) socket.onopen = () => socket?.close(); // closing now would be an error
    else socket?.close();
  };
}
