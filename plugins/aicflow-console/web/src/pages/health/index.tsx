/** Whether the server can work: its checks, the health of node types, and what is degraded. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { Button } from "react-aria-components";

import { SERVER, Problem, api, data, type Schemas } from "../../api/client";
import { may, useSession } from "../../api/session";
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
  const session = useSession();
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
            {may(session.data, "admin") && <Doctor />}
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

const ORDER = ["problem", "note", "ok"] as const;

/** What `aicflow doctor` says of this server: problems first. */
function Doctor() {
  const { t } = useLingui();
  const report = useQuery({
    queryKey: ["doctor"],
    staleTime: 60_000, // it takes seconds
    queryFn: () => data(api.GET("/api/v1/doctor")),
  });
  return (
    <section className="stack" aria-label={t`Findings`}>
      <div className="row">
        <h2 className="grow">
          <Trans>Findings</Trans>
        </h2>
        <Button className="button small" isPending={report.isFetching} onPress={() => void report.refetch()}>
          <Trans>Look again</Trans>
        </Button>
      </div>
      <Loaded query={report}>
        {(found) => (
          <Table
            label={t`Findings`}
            rows={ORDER.flatMap((state) => found.findings.filter((one) => one.state === state)).map((one, at) => ({ ...one, at }))}
            rowKey={(row) => String(row.at)}
            columns={[
              { id: "subject", title: t`Subject`, cell: (row) => <code>{row.subject}</code> },
              {
                id: "state",
                title: t`State`,
                cell: (row) => (
                  <span className={`status ${row.state === "problem" ? "s-failed" : row.state === "note" ? "s-waiting" : "s-succeeded"}`}>
                    {row.state === "problem" ? <Trans>problem</Trans> : row.state === "note" ? <Trans>note</Trans> : <Trans>ok</Trans>}
                  </span>
                ),
              },
              { id: "text", title: t`What was found`, cell: (row) => <span lang="en">{row.text}</span> },
            ]}
          />
        )}
      </Loaded>
    </section>
  );
}
