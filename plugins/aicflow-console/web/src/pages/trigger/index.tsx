/** One trigger: its next fires, pause and fire now, and what arrived for it. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";
import { Link } from "wouter";

import { SERVER, api, data, type Schemas } from "../../api/client";
import { may, useSession } from "../../api/session";
import { JsonView } from "../../ui/json";
import { ModalDialog } from "../../ui/dialog";
import { Page } from "../../ui/page";
import { Loaded, More, Refused } from "../../ui/states";
import { Table } from "../../ui/table";
import { Instant, intlLocale } from "../../ui/time";
import { TriggerState } from "../../ui/trigger";

type Trigger = Schemas["Trigger"];

export default function TriggerPage({ params }: { params: Record<string, string> }) {
  const id = decodeURIComponent(params["id"] ?? "");
  const trigger = useQuery({
    queryKey: ["trigger", id],
    refetchInterval: 10_000,
    queryFn: () => data(api.GET("/api/v1/triggers/{binding_id}", { params: { path: { binding_id: id } } })),
  });
  return (
    <Page
      title={id}
      heading={<span className="mono">{id}</span>}
      crumbs={
        <Link href="/triggers">
          <Trans>Triggers</Trans>
        </Link>
      }
      actions={trigger.data && <Actions trigger={trigger.data} />}
    >
      <Loaded query={trigger}>
        {(found) => (
          <>
            <dl className="facts card">
              <dt>
                <Trans>Workflow</Trans>
              </dt>
              <dd>
                <Link data-text href={`/workflows/${encodeURIComponent(found.workflow_id)}`}>
                  {found.workflow_id} v{found.version}
                </Link>
              </dd>
              <dt>
                <Trans>Type</Trans>
              </dt>
              <dd>
                <code>{found.type_id}</code>
              </dd>
              <dt>
                <Trans>State</Trans>
              </dt>
              <dd>
                <TriggerState trigger={found} />
              </dd>
              {found.type_id === "trigger.webhook" && <WebhookAddress trigger={found} />}
            </dl>
            {found.type_id === "trigger.cron" && <NextFires id={id} />}
            <Deliveries id={id} />
            <section className="stack">
              <h2>
                <Trans>Params</Trans>
              </h2>
              <Params value={found.params} />
            </section>
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Params({ value }: { value: Trigger["params"] }) {
  const { t } = useLingui();
  return <JsonView value={value} label={t`Params`} />;
}

function WebhookAddress({ trigger }: { trigger: Trigger }) {
  const path = String(trigger.params["path"] ?? "");
  const url = new URL(`hooks/${path.replace(/^\//, "")}`, SERVER).href;
  const method = String((trigger.params["methods"] as string[] | undefined)?.[0] ?? "POST");
  return (
    <>
      <dt>
        <Trans>Address</Trans>
      </dt>
      <dd className="stack">
        <code>{url}</code>
        <pre>{`curl -X ${method} -H 'content-type: application/json' -d '{}' '${url}'`}</pre>
      </dd>
    </>
  );
}

function Actions({ trigger }: { trigger: Trigger }) {
  const { t } = useLingui();
  const session = useSession();
  const client = useQueryClient();
  const [asked, setAsked] = useState(false);
  const [payload, setPayload] = useState("null");
  const path = { binding_id: trigger.id };
  const change = useMutation({
    mutationFn: (what: "pause" | "resume") => data(api.POST(`/api/v1/triggers/{binding_id}/${what}`, { params: { path } })),
    onSettled: () => client.invalidateQueries({ queryKey: ["trigger", trigger.id] }),
  });
  const fire = useMutation({
    mutationFn: (value: unknown) => data(api.POST("/api/v1/triggers/{binding_id}/fire", { params: { path }, body: { payload: value as never } })),
  });
  const parsed = parse(payload);
  const close = () => {
    setAsked(false);
    fire.reset();
  };
  return (
    <>
      {may(session.data, "write") && (
        <Button className="button" isPending={change.isPending} onPress={() => change.mutate(trigger.status === "paused" ? "resume" : "pause")}>
          {trigger.status === "paused" ? <Trans>Resume</Trans> : <Trans>Pause</Trans>}
        </Button>
      )}
      {may(session.data, "execute") && (
        <Button className="button primary" onPress={() => setAsked(true)}>
          <Trans>Fire now…</Trans>
        </Button>
      )}
      <Refused error={change.error} />
      <ModalDialog title={t`Fire now`} isOpen={asked} onClose={close}>
        <div className="field">
          <label htmlFor="payload">
            <Trans>Payload (JSON)</Trans>
          </label>
          <textarea id="payload" value={payload} onChange={(event) => setPayload(event.target.value)} />
          {!parsed.ok && (
            <span className="error" role="alert">
              <Trans>This is not JSON.</Trans>
            </span>
          )}
        </div>
        <Refused error={fire.error} />
        {fire.data && (
          <p role="status">
            <Trans>
              Started <Link href={`/executions/${fire.data.id}`}>{fire.data.id}</Link>.
            </Trans>
          </p>
        )}
        <div className="row">
          <Button className="button primary" isDisabled={!parsed.ok} isPending={fire.isPending} onPress={() => parsed.ok && fire.mutate(parsed.value)}>
            <Trans>Fire</Trans>
          </Button>
          <Button className="button" onPress={close}>
            <Trans>Close</Trans>
          </Button>
        </div>
      </ModalDialog>
    </>
  );
}

function parse(text: string): { ok: true; value: unknown } | { ok: false } {
  try {
    return { ok: true, value: JSON.parse(text.trim() || "null") };
  } catch {
    return { ok: false };
  }
}

/** A strip of the next fires, by day. Hours that a clock change skips or doubles are marked as the trigger tells them. */
function NextFires({ id }: { id: string }) {
  const { t, i18n } = useLingui();
  const next = useQuery({
    queryKey: ["trigger", id, "next"],
    retry: false,
    refetchInterval: 30_000,
    queryFn: () => data(api.GET("/api/v1/triggers/{binding_id}/next", { params: { path: { binding_id: id }, query: { count: 20 } } })),
  });
  if (!next.data || next.data.data.length === 0) return null;
  const locale = intlLocale(i18n.locale);
  const day = new Intl.DateTimeFormat(locale, { weekday: "short", day: "numeric", month: "short" });
  const time = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
  const days = new Map<string, Record<string, unknown>[]>();
  for (const fire of next.data.data) {
    const name = day.format(new Date(String(fire["at"])));
    days.set(name, [...(days.get(name) ?? []), fire]);
  }
  return (
    <section className="stack">
      <h2>
        <Trans>Next fires</Trans>
      </h2>
      <ol className="strip" tabIndex={0} aria-label={t`Next fires`}>
        {[...days].map(([name, fires]) => (
          <li key={name} className="card">
            <b className="num">{name}</b>
            <ul>
              {fires.map((fire) => (
                <li key={String(fire["at"])}>
                  <time dateTime={String(fire["at"])} title={String(fire["at"])}>
                    {time.format(new Date(String(fire["at"])))}
                  </time>{" "}
                  {Boolean(fire["text"]) && (
                    <span className="chip" lang="en">
                      {String(fire["text"])}
                    </span>
                  )}
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Deliveries({ id }: { id: string }) {
  const { t } = useLingui();
  const pages = useInfiniteQuery({
    queryKey: ["trigger", id, "deliveries"],
    refetchInterval: 5_000,
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) =>
      data(api.GET("/api/v1/triggers/{binding_id}/deliveries", { params: { path: { binding_id: id }, query: { limit: 25, cursor: pageParam } } })),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const [open, setOpen] = useState<string | null>(null);
  const rows = pages.data?.pages.flatMap((page) => page.data) ?? [];
  if (rows.length === 0) return null;
  return (
    <section className="stack">
      <h2>
        <Trans>Deliveries</Trans>
      </h2>
      <Table
        label={t`Deliveries`}
        rows={rows}
        rowKey={(row) => row.id}
        columns={[
          {
            id: "id",
            title: t`Delivery`,
            cell: (row) => (
              <Button className="button small mono" onPress={() => setOpen(row.id)}>
                {row.id}
              </Button>
            ),
          },
          { id: "at", title: t`Received`, cell: (row) => <Instant at={row.received_at} /> },
          { id: "key", title: t`Key`, cell: (row) => (row.key ? <code>{row.key}</code> : "–") },
          {
            id: "what",
            title: t`What became of it`,
            cell: (row) =>
              row.execution_id ? (
                <Link className="mono" href={`/executions/${row.execution_id}`}>
                  {row.execution_id}
                </Link>
              ) : (
                <span lang="en">{row.error ?? "–"}</span>
              ),
          },
        ]}
      />
      <More query={pages} />
      <ModalDialog title={t`Delivery`} isOpen={open !== null} onClose={() => setOpen(null)}>
        {open !== null && <Delivery binding={id} id={open} />}
      </ModalDialog>
    </section>
  );
}

function Delivery({ binding, id }: { binding: string; id: string }) {
  const { t } = useLingui();
  const session = useSession();
  const client = useQueryClient();
  const path = { binding_id: binding, delivery_id: id };
  const delivery = useQuery({
    queryKey: ["trigger", binding, "delivery", id],
    queryFn: () => data(api.GET("/api/v1/triggers/{binding_id}/deliveries/{delivery_id}", { params: { path } })),
  });
  const replay = useMutation({
    mutationFn: () => data(api.POST("/api/v1/triggers/{binding_id}/deliveries/{delivery_id}/replay", { params: { path } })),
    onSettled: () => client.invalidateQueries({ queryKey: ["trigger", binding, "deliveries"] }),
  });
  return (
    <Loaded query={delivery}>
      {(found) => (
        <>
          <dl className="facts">
            <dt>
              <Trans>Received</Trans>
            </dt>
            <dd>
              <Instant at={found.received_at} />
            </dd>
            {found.error && (
              <>
                <dt>
                  <Trans>Refused</Trans>
                </dt>
                <dd lang="en">{found.error}</dd>
              </>
            )}
          </dl>
          <JsonView value={found.payload} label={t`Payload`} />
          <Refused error={replay.error} />
          {replay.data && (
            <p role="status">
              <Trans>
                Started <Link href={`/executions/${replay.data.id}`}>{replay.data.id}</Link>.
              </Trans>
            </p>
          )}
          {may(session.data, "execute") && (
            <div className="row">
              <Button className="button" isPending={replay.isPending} onPress={() => replay.mutate()}>
                <Trans>Replay</Trans>
              </Button>
            </div>
          )}
        </>
      )}
    </Loaded>
  );
}
