/** Lays graphs out off the main thread: 1,000 nodes take a second or so. */
import { arrange } from "./arrange";
import type { Graph } from "./model";

self.onmessage = (message: MessageEvent<{ id: number; graph: Graph }>) => {
  self.postMessage({ id: message.data.id, places: arrange(message.data.graph) });
};
