/** Every page: its address, its component (loaded when it is opened), and its place in the navigation. Add yours here. */
import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { lazy, type ComponentType } from "react";

export interface PageRoute {
  /** wouter's pattern, below /console. */
  path: string;
  component: ComponentType<{ params: Record<string, string> }>;
  /** In the navigation and the command palette, when it has one. */
  title?: MessageDescriptor;
  /** `g` and then this key goes there. */
  key?: string;
}

const loaders: (() => Promise<unknown>)[] = [];

function page(load: () => Promise<{ default: ComponentType<never> }>): PageRoute["component"] {
  loaders.push(load);
  return lazy(load as () => Promise<{ default: PageRoute["component"] }>);
}

/** Load the pages that are not open yet, so that they open at once, also while the server is away. */
export function loadAllPages(): void {
  for (const load of loaders) load().catch(() => undefined);
}

export const ROUTES: readonly PageRoute[] = [
  { path: "/", component: page(() => import("./pages/home")) },
  { path: "/welcome", component: page(() => import("./pages/welcome")) },
  { path: "/workflows", component: page(() => import("./pages/workflows")), title: msg`Workflows`, key: "w" },
  { path: "/workflows/:id", component: page(() => import("./pages/workflow")) },
  { path: "/workflows/:id/versions", component: page(() => import("./pages/versions")) },
  { path: "/executions", component: page(() => import("./pages/executions")), title: msg`Executions`, key: "e" },
  { path: "/executions/:id", component: page(() => import("./pages/execution")) },
  { path: "/overview", component: page(() => import("./pages/overview")), title: msg`Overview`, key: "o" },
  { path: "/triggers", component: page(() => import("./pages/triggers")), title: msg`Triggers`, key: "t" },
  { path: "/triggers/:id", component: page(() => import("./pages/trigger")) },
  { path: "/node-types", component: page(() => import("./pages/node-types")), title: msg`Node types`, key: "n" },
  { path: "/secrets", component: page(() => import("./pages/secrets")), title: msg`Secrets`, key: "s" },
  { path: "/keys", component: page(() => import("./pages/keys")), title: msg`API keys`, key: "k" },
  { path: "/audit", component: page(() => import("./pages/audit")), title: msg`Audit log`, key: "a" },
  { path: "/health", component: page(() => import("./pages/health")), title: msg`Health`, key: "h" },
];
