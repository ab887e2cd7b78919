/** The first minute in three steps: connect, create the demo flow, run it and see it live. How far one is lives in the address. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState, type ReactNode } from "react";
import { Button, Form } from "react-aria-components";
import { Link, useLocation } from "wouter";

import { SERVER, Problem } from "../../api/client";
import { may, useSession } from "../../api/session";
import { useLiveExecutions } from "../../live/executions";
import { useFilters } from "../../ui/filters";
import { Page } from "../../ui/page";
import { Loaded } from "../../ui/states";
import { endWelcome } from "../../ui/welcome";
import { createDemoFlow, findDemoFlow, getDemoFlow, sendOrder, type DemoFlow } from "./demo";
import { Comparison, RunSteps } from "./steps";
import { useRun } from "./run";

const FIRST = 3;
const SECOND = 30;

export default function WelcomePage() {
  const { t } = useLingui();
  const [, go] = useLocation();
  const [at, setAt] = useFilters(["flow", "first", "second"]);
  const flow = useQuery({
    queryKey: ["welcome", "flow", at.flow],
    queryFn: () => getDemoFlow(at.flow),
    enabled: at.flow !== "",
    staleTime: Infinity,
  });
  const leave = () => {
    endWelcome();
    go("/workflows");
  };
  const isThere = at.flow !== "" && flow.data != null;
  return (
    <Page
      title={t`Welcome to AIC Flow`}
      actions={
        <>
          {at.flow !== "" && (
            <Button className="button" onPress={() => setAt({ flow: "", first: "", second: "" })}>
              <Trans>Start again</Trans>
            </Button>
          )}
          <Button className="button" onPress={leave}>
            <Trans>Skip the first steps</Trans>
          </Button>
        </>
      }
    >
      <p>
        <Trans>Three steps, about a minute. Nothing leaves this server, and no model is needed.</Trans>
      </p>
      <ol className="stack" aria-label={t`First steps`}>
        <Step number={1} title={t`Connect`} done>
          <Connected />
        </Step>
        <Step number={2} title={t`Create Demo Flow`} done={isThere} current={!isThere}>
          {at.flow === "" ? (
            <Create onReady={setAt} />
          ) : (
            <Loaded query={flow}>
              {(found) =>
                found === null ? (
                  <>
                    <p role="alert">
                      <Trans>The demo flow of this address was deleted.</Trans>
                    </p>
                    <Create onReady={setAt} />
                  </>
                ) : (
                  <Created flow={found} />
                )
              }
            </Loaded>
          )}
        </Step>
        <Step number={3} title={t`Run it and see it live`} current={isThere} done={at.second !== ""}>
          {isThere && flow.data ? (
            <Runs key={at.flow} flow={flow.data} first={at.first} second={at.second} setAt={setAt} />
          ) : (
            <p className="soft">
              <Trans>When there is a flow, you send it an order and watch its steps.</Trans>
            </p>
          )}
        </Step>
      </ol>
    </Page>
  );
}

type At = Partial<Record<"flow" | "first" | "second", string>>;

interface StepProps {
  number: number;
  title: string;
  done?: boolean;
  current?: boolean;
  children: ReactNode;
}

function Step({ number, title, done = false, current = false, children }: StepProps) {
  const { t } = useLingui();
  const heading = useRef<HTMLHeadingElement>(null);
  const before = useRef(current);
  useEffect(() => {
    if (current && !before.current) heading.current?.focus(); // the button that led here is gone
    before.current = current;
  }, [current]);
  return (
    <li className="card stack" aria-current={current ? "step" : undefined}>
      <div className="row">
        <h2 ref={heading} tabIndex={-1} className="grow">
          {t`${number}. ${title}`}
        </h2>
        {done && (
          <span className="status s-succeeded">
            <svg viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor" strokeWidth="2.6">
              <path d="M2 9l4 4 8-10" />
            </svg>
            <Trans>Done</Trans>
          </span>
        )}
      </div>
      {children}
    </li>
  );
}

function Connected() {
  const session = useSession();
  const live = useLiveExecutions("", ["welcome", "live"]);
  return (
    <dl className="facts">
      <dt>
        <Trans>Server</Trans>
      </dt>
      <dd>
        <code>{SERVER.href}</code>
      </dd>
      <dt>
        <Trans>Signed in with the key</Trans>
      </dt>
      <dd className="row">
        <span data-text>{session.data?.name}</span>
        {session.data?.scopes.map((scope) => (
          <span className="chip" key={scope}>
            {scope}
          </span>
        ))}
      </dd>
      <dt>
        <Trans>Live updates</Trans>
      </dt>
      <dd>
        <span role="status">
          {live ? <Trans>Connected</Trans> : <Trans>Not connected (yet): what happens is asked for every two seconds.</Trans>}
        </span>
      </dd>
    </dl>
  );
}

function Create({ onReady }: { onReady: (at: At) => void }) {
  const session = useSession();
  const client = useQueryClient();
  const earlier = useQuery({ queryKey: ["welcome", "earlier"], queryFn: findDemoFlow, retry: false, gcTime: 0 });
  const create = useMutation({
    mutationFn: createDemoFlow,
    onSuccess: (flow) => {
      void client.invalidateQueries({ queryKey: ["workflows"] });
      onReady({ flow, first: "", second: "" });
    },
  });
  const goOn = () => {
    if (earlier.data) onReady({ flow: earlier.data.flow, first: earlier.data.runs[0] ?? "", second: earlier.data.runs[1] ?? "" });
  };
  return (
    <>
      <p>
        <Trans>
          An order arrives at a URL of this server (a webhook). A Python step prices it, a branch looks whether it is large, and
          another step says what happens next.
        </Trans>
      </p>
      {may(session.data, "write") ? (
        <div className="row">
          <Button className={earlier.data ? "button" : "button primary"} onPress={() => create.mutate()} isDisabled={create.isPending}>
            {earlier.data ? <Trans>Create another Demo Flow</Trans> : <Trans>Create Demo Flow</Trans>}
          </Button>
          {earlier.data && (
            <Button className="button primary" onPress={goOn}>
              <Trans>Go on with the one of before</Trans>
            </Button>
          )}
        </div>
      ) : (
        <div className="row">
          <p>
            <Trans>
              Your key may not create workflows. Sign in with one that has the scope <code>write</code>.
            </Trans>
          </p>
          {earlier.data && (
            <Button className="button primary" onPress={goOn}>
              <Trans>Go on with the one of before</Trans>
            </Button>
          )}
        </div>
      )}
      <Refused error={create.error} />
    </>
  );
}

function Created({ flow }: { flow: DemoFlow }) {
  return (
    <p>
      <Trans>
        <Link href={`/workflows/${encodeURIComponent(flow.id)}`}>Your demo flow</Link> is saved and its URL is live:
      </Trans>{" "}
      <code>{flow.url}</code>
    </p>
  );
}

function Runs({ flow, first, second, setAt }: { flow: DemoFlow; first: string; second: string; setAt: (at: At) => void }) {
  const one = useRun(first);
  const two = useRun(second);
  const sent = useRef(false); // only who just did something has the focus moved
  const send = (change: At) => {
    sent.current = true;
    setAt(change);
  };
  const firstEnded = one.data?.execution.finished_at != null;
  const bothEnded = firstEnded && two.data?.execution.finished_at != null;
  useEffect(() => {
    if (bothEnded) endWelcome();
  }, [bothEnded]);
  return (
    <>
      {first === "" ? (
        <Send flow={flow} quantity={FIRST} onSent={(id) => send({ first: id, second: "" })} first isFocused={sent.current} />
      ) : (
        <RunSteps flow={flow} id={first} run={one} second={false} isFocused={sent.current} />
      )}
      {firstEnded && second === "" && (
        <Send flow={flow} quantity={SECOND} onSent={(id) => send({ second: id })} first={false} isFocused={sent.current} />
      )}
      {second !== "" && <RunSteps flow={flow} id={second} run={two} second isFocused={sent.current} />}
      {bothEnded && one.data && two.data && (
        <>
          <Comparison flow={flow} first={one.data} second={two.data} />
          <div className="row">
            <Link className="button primary" href={`/workflows/${encodeURIComponent(flow.id)}`}>
              <Trans>Open the workflow</Trans>
            </Link>
            <Button className="button" onPress={() => send({ first: "", second: "" })}>
              <Trans>Run it again</Trans>
            </Button>
          </div>
        </>
      )}
    </>
  );
}

interface SendProps {
  flow: DemoFlow;
  quantity: number;
  first: boolean;
  isFocused: boolean;
  onSent: (id: string) => void;
}

/** An order to send: the number is the one value that one changes. */
function Send({ flow, quantity, first, isFocused, onSent }: SendProps) {
  const { t } = useLingui();
  const [value, setValue] = useState(String(quantity));
  const field = useRef<HTMLInputElement>(null);
  const send = useMutation({ mutationFn: () => sendOrder(flow, { quantity: Number(value) }), onSuccess: onSent });
  useEffect(() => {
    if (isFocused) field.current?.focus();
  }, [isFocused]);
  const body = JSON.stringify({ quantity: Number(value) });
  return (
    <Form
      className="stack"
      aria-label={first ? t`Send an order` : t`Send another order`}
      onSubmit={(event) => {
        event.preventDefault();
        send.mutate();
      }}
    >
      <p>
        {first ? (
          <Trans>Send an order to the URL, as another system would.</Trans>
        ) : (
          <Trans>Now change one value and run it again: with more than 8, the branch goes the other way.</Trans>
        )}
      </p>
      <div className="row">
        <div className="field">
          <label htmlFor="quantity">
            <Trans>Quantity</Trans>
          </label>
          <input
            ref={field}
            id="quantity"
            type="number"
            required
            min={1}
            max={1_000_000}
            step={1}
            value={value}
            onChange={(event) => setValue(event.target.value)}
          />
        </div>
        <Button className="button primary" type="submit" isDisabled={send.isPending} style={{ alignSelf: "end" }}>
          {first ? <Trans>Send the order</Trans> : <Trans>Run it again</Trans>}
        </Button>
      </div>
      <details>
        <summary>
          <Trans>The same in a terminal</Trans>
        </summary>
        <pre>{`curl "${flow.url}" -H "Content-Type: application/json" -d '${body}'`}</pre>
      </details>
      <Refused error={send.error} />
    </Form>
  );
}

function Refused({ error }: { error: Error | null }) {
  if (error === null) return null;
  return (
    <p role="alert" style={{ color: "var(--failed)" }}>
      {error instanceof Problem && error.code === "offline" ? (
        <Trans>The server cannot be reached.</Trans>
      ) : (
        <span lang="en">{error.message}</span>
      )}
    </p>
  );
}
