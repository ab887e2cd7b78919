/** The typed client of the REST API. What it cannot reach, or is refused, it throws as a `Problem`. */
import createClient, { type Middleware } from "openapi-fetch";

import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

/** Where the server is, seen from the page: behind any prefix of a proxy. */
export const SERVER = new URL("..", document.baseURI);
/** The console's own path, without the slash at its end. */
export const BASE_PATH = new URL(document.baseURI).pathname.replace(/\/$/, "");

/** An RFC 9457 problem of the API, or `offline` when there was no answer. */
export class Problem extends Error {
  readonly code: string;
  readonly hint: string | null;
  readonly requestId: string | null;
  readonly errors: readonly Schemas["ProblemEntry"][];

  constructor(
    readonly status: number,
    document: Partial<Schemas["ProblemDocument"]>,
  ) {
    super(document.detail ?? document.title ?? `HTTP ${status}`);
    this.code = document.type?.split(":").pop() ?? (status === 0 ? "offline" : "unknown");
    this.hint = document.hint ?? null;
    this.requestId = document.request_id ?? null;
    this.errors = document.errors ?? [];
  }
}

type Listener = () => void;
const expiryListeners = new Set<Listener>();

/** Called when the API says that there is no session (any more). */
export function onSessionEnd(listener: Listener): () => void {
  expiryListeners.add(listener);
  return () => expiryListeners.delete(listener);
}

const problems: Middleware = {
  async onResponse({ response, schemaPath }) {
    if (response.ok || response.status === 304) return undefined;
    if (response.status === 401 && schemaPath !== "/api/v1/session") expiryListeners.forEach((listener) => listener());
    let document: Partial<Schemas["ProblemDocument"]> = {};
    try {
      document = await response.clone().json();
    } catch {
      // a proxy's page
    }
    throw new Problem(response.status, document);
  },
  onError({ error }) {
    if (error instanceof Problem) return error;
    if (error instanceof DOMException && error.name === "AbortError") return error;
    return new Problem(0, { detail: "offline" });
  },
};

export const api = createClient<paths>({
  baseUrl: SERVER.href.replace(/\/$/, ""),
  credentials: "same-origin",
  fetch: (request) => globalThis.fetch(request),
});
api.use(problems);

/** The data of an answer; refusals were thrown. */
export async function data<T>(answer: Promise<{ data?: T }>): Promise<T> {
  return (await answer).data as T;
}

/** The address of a stream, as a WebSocket. */
export function streamUrl(path: string, query: Record<string, string | number> = {}): string {
  const url = new URL(`api/v1/${path}`, SERVER);
  url.protocol = url.protocol.replace("http", "ws");
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
  return url.href;
}
