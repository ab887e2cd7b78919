/** Calls of a webhook as they arrive, and an address that tries the newest version as long as someone listens. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useEffect, useRef, useState } from "react";
import { Button } from "react-aria-components";
import { Link } from "wouter";

import { SERVER, type Schemas } from "../../api/client";
import { may, useSession } from "../../api/session";
import { Instant } from "../../ui/time";
import { curl, filled, secretOf } from "./curl";
import { CallParts, type Call } from "./deliveries";

type Trigger = Schemas["Trigger"];

interface Ready {
  url: string;
  version: number;
  path: string;
}

interface Arrival {
  at: string;
  /** At the webhook's own address, not at the passing one. */
  live: boolean;
  version: number;
  method: string;
  payload?: Call;
  execution_id?: string | null;
  status?: number;
  detail?: string;
}

const MOST = 100;

/** A call as a shell command, and what it needs. */
export function Curl({ url, params }: { url: string; params: Trigger["params"] }) {
  const { t } = useLingui();
  const text = curl(url, params);
  const secret = secretOf(params);
  return (
    <div className="stack">
      <pre className="json" role="region" aria-label={t`Shell command`} tabIndex={0}>
        {text}
      </pre>
      <div className="row">
        <Button className="button small" onPress={() => void navigator.clipboard?.writeText(text)}>
          <Trans>Copy the command</Trans>
        </Button>
        {secret && (
          <span className="soft">
            <Trans>
              Set the shell variable <code>{secret}</code> to the sender’s secret first.
            </Trans>
          </span>
        )}
      </div>
    </div>
  );
}

export function Watch({ trigger }: { trigger: Trigger }) {
  const { t } = useLingui();
  const session = useSession();
  const [on, setOn] = useState(false);
  if (!may(session.data, "execute")) return null;
  return (
    <section className="stack" aria-label={t`Live arrivals`}>
      <div className="row">
        <h2 className="grow">
          <Trans>Live arrivals</Trans>
        </h2>
        <Button className="button" onPress={() => setOn(!on)} aria-pressed={on}>
          {on ? <Trans>Stop listening</Trans> : <Trans>Listen</Trans>}
        </Button>
      </div>
      {on ? (
        <Listening trigger={trigger} />
      ) : (
        <p className="soft">
          <Trans>
            Listen to see each call as it arrives, and why it is refused. While you listen there is a second address, which runs the newest version of the workflow, also a draft.
          </Trans>
        </p>
      )}
    </section>
  );
}

function Listening({ trigger }: { trigger: Trigger }) {
  const { t } = useLingui();
  const [ready, setReady] = useState<Ready | null>(null);
  const [broken, setBroken] = useState(false);
  const [arrivals, setArrivals] = useState<readonly (Arrival & { n: number })[]>([]);
  const count = useRef(0);
  const { workflow_id, trigger_id } = trigger;
  useEffect(() => {
    const url = new URL(`hooks-test/${encodeURIComponent(workflow_id)}/${encodeURIComponent(trigger_id)}`, SERVER);
    const source = new EventSource(url);
    const arrived = (event: MessageEvent<string>) => {
      const arrival = { ...(JSON.parse(event.data) as Arrival), n: (count.current += 1) };
      setArrivals((before) => [arrival, ...before].slice(0, MOST));
    };
    source.addEventListener("ready", (event) => {
      setReady(JSON.parse(event.data) as Ready);
      setArrivals([]); // what was refused before comes again
      setBroken(false);
    });
    source.addEventListener("delivery", arrived);
    source.addEventListener("refused", arrived);
    source.onerror = () => setBroken(true);
    return () => source.close();
  }, [workflow_id, trigger_id]);
  const varies = ready?.path.includes("{");
  const address = ready && new URL(ready.url.slice(1), SERVER).href + (varies ? `/${filled(ready.path)}` : "");
  return (
    <>
      <p role="status">
        {broken ? (
          <Trans>The server does not answer; trying again.</Trans>
        ) : !ready ? (
          <Trans>Connecting…</Trans>
        ) : ready.version === trigger.version ? (
          <Trans>Listening. This address runs version {ready.version}, the current one, as long as you listen (an hour at most):</Trans>
        ) : (
          <Trans>Listening. This address runs version {ready.version}, a draft, as long as you listen (an hour at most):</Trans>
        )}
      </p>
      {address && !broken && (
        <>
          <code>{address}</code>
          <Curl url={address} params={trigger.params} />
        </>
      )}
      <ol className="stack" aria-live="polite" aria-label={t`Calls, newest first`}>
        {arrivals.map((arrival) => (
          <li key={arrival.n} className="card stack">
            <div className="row">
              <Instant at={arrival.at} />
              <code>{arrival.method}</code>
              <span className="soft">
                {arrival.live ? <Trans>live, version {arrival.version}</Trans> : <Trans>test, version {arrival.version}</Trans>}
              </span>
              {arrival.execution_id && (
                <Link className="mono" href={`/executions/${arrival.execution_id}`}>
                  {arrival.execution_id}
                </Link>
              )}
              {arrival.status !== undefined && (
                <b className="s-failed status">
                  <Trans>refused: {arrival.status}</Trans>
                </b>
              )}
            </div>
            {arrival.detail && <p lang="en">{arrival.detail}</p>}
            {arrival.payload && (
              <details>
                <summary>
                  <Trans>Headers and body</Trans>
                </summary>
                <CallParts call={arrival.payload} />
              </details>
            )}
          </li>
        ))}
      </ol>
    </>
  );
}
