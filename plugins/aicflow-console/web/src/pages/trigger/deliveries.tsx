/** What arrived for a trigger: what was let in, what became of it, and running it again. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";
import { Link } from "wouter";

import { api, data, type Schemas } from "../../api/client";
import { may, useSession } from "../../api/session";
import { ModalDialog } from "../../ui/dialog";
import { useFilters } from "../../ui/filters";
import { JsonView } from "../../ui/json";
import { Empty, Listed, Loaded, Refused } from "../../ui/states";
import { Table } from "../../ui/table";
import { Instant } from "../../ui/time";

/** A call of a webhook, as its workflow is given it. */
export interface Call {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: unknown;
  authenticated_by?: string | null;
}

function isCall(payload: unknown): payload is Call {
  return payload !== null && typeof payload === "object" && "method" in payload && "headers" in payload;
}

export function Deliveries({ id }: { id: string }) {
  const { t } = useLingui();
  const [{ started }, set] = useFilters(["started"]);
  const pages = useInfiniteQuery({
    queryKey: ["trigger", id, "deliveries", started],
    refetchInterval: 5_000,
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) =>
      data(
        api.GET("/api/v1/triggers/{binding_id}/deliveries", {
          params: { path: { binding_id: id }, query: { limit: 25, cursor: pageParam, started: started === "" ? undefined : started === "true" } },
        }),
      ),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const [open, setOpen] = useState<string | null>(null);
  const rows = pages.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <section className="stack" aria-label={t`What arrived`}>
      <div className="row">
        <h2 className="grow">
          <Trans>What arrived</Trans>
        </h2>
        <div className="field">
          <select aria-label={t`Which deliveries`} value={started} onChange={(event) => set({ started: event.target.value })}>
            <option value="">{t`All deliveries`}</option>
            <option value="true">{t`Started an execution`}</option>
            <option value="false">{t`Started nothing`}</option>
          </select>
        </div>
      </div>
      <Listed query={pages} none={<Empty title={started ? <Trans>No delivery is like this</Trans> : <Trans>Nothing has arrived yet</Trans>} />}>
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
            { id: "what", title: t`What became of it`, cell: (row) => <Outcome delivery={row} /> },
          ]}
        />
      </Listed>
      <ModalDialog title={t`Delivery`} isOpen={open !== null} onClose={() => setOpen(null)} className="wide">
        {open !== null && <Delivery binding={id} id={open} />}
      </ModalDialog>
    </section>
  );
}

function Outcome({ delivery }: { delivery: Schemas["Delivery"] }) {
  if (!delivery.execution_id) return <span lang="en">{delivery.error ?? "–"}</span>;
  return (
    <Link className="mono" href={`/executions/${delivery.execution_id}`}>
      {delivery.execution_id}
    </Link>
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
            <dt>
              <Trans>What became of it</Trans>
            </dt>
            <dd>
              <Outcome delivery={found} />
            </dd>
            {isCall(found.payload) && <Proof call={found.payload} />}
          </dl>
          {isCall(found.payload) ? <CallParts call={found.payload} /> : <JsonView value={found.payload} label={t`Payload`} />}
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

/** What proved who called. A call that proves nothing where it must is refused and not kept. */
function Proof({ call }: { call: Call }) {
  const by = call.authenticated_by;
  return (
    <>
      <dt>
        <Trans>Sender</Trans>
      </dt>
      <dd>
        {by === undefined ? (
          <Trans>not known: it came before this was noted</Trans>
        ) : by === null ? (
          <Trans>not checked: anybody may call this webhook</Trans>
        ) : by === "api_key" ? (
          <Trans>proven by its key</Trans>
        ) : by === "basic" ? (
          <Trans>proven by its password</Trans>
        ) : (
          <Trans>
            the signature is right (<code>{by}</code>)
          </Trans>
        )}
      </dd>
    </>
  );
}

/** The method, headers and body of a call. */
export function CallParts({ call }: { call: Call }) {
  const { t } = useLingui();
  return (
    <>
      <p>
        <code>
          {call.method} /{call.path}
        </code>
      </p>
      <h3>
        <Trans>Headers</Trans>
      </h3>
      <div className="json headers" role="region" aria-label={t`Headers`} tabIndex={0}>
        {Object.entries(call.headers).map(([name, value]) => (
          <div key={name} className="leaf" data-text>
            <span className="key">{name}: </span>
            {value}
          </div>
        ))}
      </div>
      <h3>
        <Trans>Body</Trans>
      </h3>
      <JsonView value={call.body} label={t`Body`} />
      <details>
        <summary>
          <Trans>All that the workflow is given</Trans>
        </summary>
        <JsonView value={call} label={t`Payload`} />
      </details>
    </>
  );
}
