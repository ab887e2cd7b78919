/** Whether a trigger listens: a shape, a word and, when it cannot, why. */
import { Trans } from "@lingui/react/macro";

import type { Schemas } from "../api/client";

export function TriggerState({ trigger }: { trigger: Schemas["Trigger"] }) {
  const { status, problem } = trigger;
  return (
    <span className="stack">
      <span className={`status ${status === "active" ? "s-succeeded" : problem ? "s-failed" : "s-skipped"}`}>
        <svg viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor" strokeWidth="2.6">
          <path d={status === "active" ? "M2 9l4 4 8-10" : problem ? "M3 3l10 10M13 3L3 13" : "M4 2v12M12 2v12"} />
        </svg>
        {status === "active" ? <Trans>on</Trans> : status === "paused" ? <Trans>paused</Trans> : problem ? <Trans>cannot listen</Trans> : <Trans>off</Trans>}
      </span>
      {problem && <span lang="en">{problem}</span>}
    </span>
  );
}
