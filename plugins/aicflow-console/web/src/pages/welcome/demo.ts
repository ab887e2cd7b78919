/** The demo flow: its document, and how it is found, made and called. All of it is what any client can do. */
import { SERVER, Problem, api, data, type Schemas } from "../../api/client";

/** What the demo flow's input is: an order of so many things. */
export interface Order {
  quantity: number;
}

const LABEL = { "made-by": "welcome" };

/** An order arrives at a URL and is priced; a large one is looked at before it ships. */
function document_(path: string) {
  return {
    aicflow: 1,
    name: "Demo flow",
    description: "An order arrives at a URL; a large one is looked at before it ships.",
    labels: LABEL,
    input_schema: {
      type: "object",
      properties: { quantity: { type: "integer", minimum: 1, title: "Quantity" } },
      required: ["quantity"],
    },
    vars: { price: 12, limit: 100 },
    triggers: [
      { id: "order", type: "trigger.webhook", params: { path, accept: ["json"] }, input: "${{ trigger.body }}" },
    ],
    nodes: [
      {
        id: "total",
        type: "python.code",
        params: {
          inputs: { quantity: "${{ input.quantity }}", price: "${{ vars.price }}" },
          code: slow('return inputs["quantity"] * inputs["price"]'),
        },
        output_schema: { type: "integer" },
      },
      { id: "large", type: "logic.if_else", params: { condition: "${{ nodes.total.output > vars.limit }}" } },
      message("review", "Somebody looks at it first"),
      message("ship", "It ships today"),
      {
        id: "receipt",
        type: "python.code",
        params: {
          inputs: { next: "${{ nodes.review?.output ?? nodes.ship?.output }}", total: "${{ nodes.total.output }}" },
          code: 'return {"total": inputs["total"], "next": inputs["next"]}',
        },
      },
    ],
    edges: [
      { from: "total", to: "large" },
      { from: "large", port: "true", to: "review" },
      { from: "large", port: "false", to: "ship" },
      { from: "review", to: "receipt" },
      { from: "ship", to: "receipt" },
    ],
    output: "${{ nodes.receipt.output }}",
  };
}

function slow(code: string): string {
  return `import time\n\ntime.sleep(0.5)  # so that there is something to watch\n${code}`;
}

function message(id: string, text: string) {
  return {
    id,
    type: "python.code",
    params: { inputs: { total: "${{ nodes.total.output }}" }, code: slow(`return f"${text}: it costs {inputs['total']}"`) },
    output_schema: { type: "string" },
  };
}

export interface DemoFlow {
  id: string;
  name: string;
  /** The steps in the order of the document. */
  nodes: readonly string[];
  url: string;
}

function asFlow(workflow: Schemas["Workflow"]): DemoFlow {
  const { nodes, triggers } = workflow.document as unknown as {
    nodes: { id: string }[];
    triggers?: { type: string; params: { path: string } }[];
  };
  const path = triggers?.find((one) => one.type === "trigger.webhook")?.params.path ?? "";
  return {
    id: workflow.id,
    name: workflow.name,
    nodes: nodes.map((node) => node.id),
    url: new URL(`hooks/${path}`, SERVER).href,
  };
}

export async function getDemoFlow(id: string): Promise<DemoFlow | null> {
  try {
    return asFlow(await data(api.GET("/api/v1/workflows/{workflow_id}", { params: { path: { workflow_id: id } } })));
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}

/** The demo flow of an earlier visit, with its last two executions, the older one first. */
export async function findDemoFlow(): Promise<{ flow: string; runs: string[] } | null> {
  const found = await data(
    api.GET("/api/v1/workflows", { params: { query: { labels: "made-by=welcome", limit: 1 } } }),
  );
  const flow = found.data[0]?.id;
  if (flow === undefined) return null;
  const runs = await data(api.GET("/api/v1/executions", { params: { query: { workflow_id: flow, limit: 2 } } }));
  return { flow, runs: runs.data.map((one) => one.id).reverse() };
}

/** Its URL cannot be guessed: whoever knows it can send an order. */
export async function createDemoFlow(): Promise<string> {
  const random = crypto.getRandomValues(new Uint8Array(9));
  const path = `demo-${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  const made = await data(
    api.POST("/api/v1/workflows", { params: { query: {} }, body: document_(path) as never }),
  );
  return made.id;
}

/** Send an order to the flow's URL, as any other system would: without the session. Returns the execution. */
export async function sendOrder(flow: DemoFlow, order: Order): Promise<string> {
  let answer: Response;
  try {
    answer = await fetch(flow.url, {
      method: "POST",
      credentials: "omit",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(order),
    });
  } catch {
    throw new Problem(0, { detail: "offline" });
  }
  const body = (await answer.json().catch(() => ({}))) as { execution_id?: string };
  if (!answer.ok || body.execution_id === undefined) throw new Problem(answer.status, body as never);
  return body.execution_id;
}
