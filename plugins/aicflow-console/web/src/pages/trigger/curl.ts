/** A call of a webhook as a shell command, with what proves who calls: secrets are named as variables, never written. */
import type { Schemas } from "../../api/client";

type Params = Schemas["Trigger"]["params"];

/** An address in which each `{name}` is filled with something. */
export function filled(path: string): string {
  return path.replace(/\{(\w+)\}/g, "$1");
}

/** A word of a shell command, whatever is in it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Commands that set variables first, and the headers that use them (in double quotes: a shell replaces `$NAME` there). */
function proof(auth: Record<string, unknown>): { before: string[]; headers: string[] } {
  const text = (name: string, otherwise: string) => String(auth[name] ?? otherwise);
  const header = (name: string, value: string) => `-H ${quoted(`${name}: `)}"${value}"`;
  const hmac = (signed: string, how = "sha256", encoding = "hex") =>
    encoding === "base64"
      ? `$(printf %s "${signed}" | openssl dgst -${how} -hmac "$SECRET" -binary | base64 | tr -d '\\n')`
      : `$(printf %s "${signed}" | openssl dgst -${how} -hmac "$SECRET" -hex | sed 's/.* //')`;
  switch (auth["type"]) {
    case "basic":
      return { before: [], headers: [`-u ${quoted(`${text("username", "")}:`)}"$PASSWORD"`] };
    case "api_key":
      return { before: [], headers: [header(text("header", "X-API-Key"), `${text("prefix", "").replace(/[\\"$`]/g, "\\$&")}$KEY`)] };
    case "hmac":
      break;
    default:
      return { before: [], headers: [] };
  }
  switch (auth["preset"]) {
    case "github":
      return { before: [], headers: [header("X-Hub-Signature-256", `sha256=${hmac("$BODY")}`)] };
    case "stripe":
      return { before: ["T=$(date +%s)"], headers: [header("Stripe-Signature", `t=$T,v1=${hmac("$T.$BODY")}`)] };
    case "slack":
      return { before: ["T=$(date +%s)"], headers: [header("X-Slack-Request-Timestamp", "$T"), header("X-Slack-Signature", `v0=${hmac("v0:$T:$BODY")}`)] };
    case "standard-webhooks": {
      const key = `$(printf %s "\${SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \\n')`;
      const sign = `$(printf %s "$ID.$T.$BODY" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:${key}" -binary | base64 | tr -d '\\n')`;
      return { before: ["T=$(date +%s)", 'ID="msg_$T"'], headers: [header("webhook-id", "$ID"), header("webhook-timestamp", "$T"), header("webhook-signature", `v1,${sign}`)] };
    }
    default: {
      const prefix = text("prefix", "").replace(/[\\"$`]/g, "\\$&");
      return { before: [], headers: [header(text("header", "X-Signature"), prefix + hmac("$BODY", text("algorithm", "sha256"), text("encoding", "hex")))] };
    }
  }
}

export function curl(url: string, params: Params): string {
  const methods = params["methods"] as string[] | undefined;
  const method = methods?.includes("POST") ? "POST" : (methods?.[0] ?? "POST");
  const { before, headers } = proof((params["auth"] as Record<string, unknown> | undefined) ?? {});
  const withBody = method !== "GET" && method !== "HEAD";
  const parts = [method === "HEAD" ? "curl -sS -I" : `curl -sS -X ${method}`];
  if (withBody) parts.push("-H 'Content-Type: application/json' --data-raw \"$BODY\"");
  parts.push(...headers, quoted(url));
  const body = withBody ? `BODY=${quoted('{"hello": "world"}')}` : headers.some((one) => one.includes("$BODY")) ? "BODY=" : null;
  return [...(body ? [body] : []), ...before, parts.join(" \\\n  ")].join("\n");
}

/** The variable that a shell needs, if any. */
export function secretOf(params: Params): "SECRET" | "PASSWORD" | "KEY" | null {
  const type = (params["auth"] as Record<string, unknown> | undefined)?.["type"];
  return type === "hmac" ? "SECRET" : type === "basic" ? "PASSWORD" : type === "api_key" ? "KEY" : null;
}
