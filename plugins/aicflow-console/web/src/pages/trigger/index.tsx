/** One trigger: its next fires, pause and fire now, and what arrived for it. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";
import { Link } from "wouter";

import { SERVER, api, data, type Schemas } from "../../api/client";
import { may, useSession } from "../../api/session";
import { JsonView } from "../../ui/json";
import { ModalDialog } from "../../ui/dialog";
import { Page } from "../../ui/page";
import { Loaded, Refused } from "../../ui/states";
import { TriggerState } from "../../ui/trigger";
import { Deliveries } from "./deliveries";
import { Schedule } from "./schedule";
import { filled } from "./curl";
import { Curl, Watch } from "./watch";

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
            {found.type_id === "trigger.cron" && <Schedule trigger={found} />}
            {found.type_id === "trigger.webhook" && <Watch trigger={found} />}
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
  const path = String(trigger.params["path"] ?? "").replace(/^\//, "");
  const url = `${SERVER.href}hooks/${path}`;
  return (
    <>
      <dt>
        <Trans>Address</Trans>
      </dt>
      <dd className="stack">
        <code>{url}</code>
        <Curl url={filled(url)} params={trigger.params} />
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
