/** Whether the server can work: its checks, the health of node types, and what is degraded. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";

import { SERVER, Problem, type Schemas } from "../../api/client";
import { Page } from "../../ui/page";
import { Loaded } from "../../ui/states";
import { Table } from "../../ui/table";

type Ready = Schemas["Ready"];

/** `/readyz` answers 503 with the same document when it is not ready. */
async function readiness(): Promise<Ready> {
  const answer = await fetch(new URL("readyz", SERVER), { credentials: "same-origin" }).catch(() => null);
  if (answer === null) throw new Problem(0, { detail: "offline" });
  return (await answer.json()) as Ready;
}

export default function HealthPage() {
  const { t } = useLingui();
  const ready = useQuery({ queryKey: ["readyz"], refetchInterval: 5_000, queryFn: readiness });
  return (
    <Page title={t`Health`}>
      <Loaded query={ready}>
        {(found) => (
          <>
            <p role="status" className="card">
              {found.status === "ready" ? <Trans>The server is ready.</Trans> : <Trans>The server is not ready.</Trans>}{" "}
              {found.degraded.length > 0 && <code>{found.degraded.join(", ")}</code>}
            </p>
            <Table
              label={t`Checks`}
              rows={Object.entries(found.checks ?? {})}
              rowKey={([name]) => name}
              columns={[
                { id: "name", title: t`Check`, cell: ([name]) => <code>{name}</code> },
                { id: "value", title: t`State`, cell: ([, value]) => <code>{typeof value === "string" ? value : JSON.stringify(value)}</code> },
              ]}
            />
            <h2>
              <Trans>Node types</Trans>
            </h2>
            <Table
              label={t`Node types`}
              rows={Object.entries(found.node_types ?? {})}
              rowKey={([name]) => name}
              columns={[
                { id: "name", title: t`Node type`, cell: ([name]) => <code>{name}</code> },
                {
                  id: "state",
                  title: t`State`,
                  cell: ([, one]) => (one.ready === false ? <Trans>cannot run</Trans> : one.ready ? <Trans>can run</Trans> : <Trans>not known yet</Trans>),
                },
                { id: "why", title: t`Why`, cell: ([, one]) => <span lang="en">{one.reason ?? one.note ?? ""}</span> },
              ]}
            />
          </>
        )}
      </Loaded>
    </Page>
  );
}
