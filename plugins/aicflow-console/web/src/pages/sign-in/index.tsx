/** Signing in with an API key; links of `aicflow serve` and `aicflow open` sign in by themselves. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useEffect, useState } from "react";
import { Button, Form, Input, Label, TextField } from "react-aria-components";

import { Problem } from "../../api/client";
import { useSignIn } from "../../api/session";

export function SignIn({ error, ended = false }: { error?: unknown; ended?: boolean }) {
  const { t } = useLingui();
  const signIn = useSignIn();
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState<unknown>(error);
  useEffect(() => {
    document.title = `${t`Sign in`} · AIC Flow`;
  }, [t]);
  const submit = async () => {
    setBusy(true);
    setFailed(undefined);
    try {
      await signIn(key);
      setKey("");
    } catch (problem) {
      setFailed(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <main className="sign-in" id="main">
      <div className="card">
        <h1>
          <Trans>Sign in to AIC Flow</Trans>
        </h1>
        {ended && (
          <p role="status">
            <Trans>Your session has ended. Sign in again to go on where you were.</Trans>
          </p>
        )}
        <Form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void submit();
          }}
        >
          <TextField className="field" value={key} onChange={setKey} type="password" isRequired autoFocus autoComplete="off">
            <Label>
              <Trans>API key</Trans>
            </Label>
            <Input placeholder="aicf_…" />
          </TextField>
          {failed !== undefined && (
            <p role="alert" className="error s-failed" style={{ color: "var(--failed)" }}>
              {failed instanceof Problem && failed.code === "offline" ? (
                <Trans>The server cannot be reached.</Trans>
              ) : failed instanceof Problem && failed.status === 401 ? (
                <Trans>This key or link does not count: it is unknown, was used, was revoked or has expired.</Trans>
              ) : (
                <span lang="en">{failed instanceof Error ? failed.message : String(failed)}</span>
              )}
            </p>
          )}
          <Button className="button primary" type="submit" isDisabled={busy}>
            <Trans>Sign in</Trans>
          </Button>
        </Form>
        <p className="soft">
          <Trans>
            On the machine of the server, <code>aicflow open</code> signs a browser in without a key. The key is not kept in
            the browser: it gets a session for 12 hours.
          </Trans>
        </p>
      </div>
    </main>
  );
}
