/** The status of an execution or step: a shape, a word and a colour. */
import { msg } from "@lingui/core/macro";
import { useLingui } from "@lingui/react";

import type { Schemas } from "../api/client";

export type Status = Schemas["ExecutionStatus"] | Schemas["StepStatus"];

export const STATUS_WORDS = {
  queued: msg`queued`,
  running: msg`running`,
  waiting: msg`waiting`,
  retrying: msg`retrying`,
  succeeded: msg`succeeded`,
  failed: msg`failed`,
  skipped: msg`skipped`,
  cancelled: msg`cancelled`,
} as const satisfies Record<Status, unknown>;

const SHAPES: Record<Status, string> = {
  queued: "M2 8h12",
  running: "M4 2l9 6-9 6z",
  waiting: "M4 2v12M12 2v12",
  retrying: "M13 8a5 5 0 1 1-2-4M11 1v3.5h-3.5",
  succeeded: "M2 9l4 4 8-10",
  failed: "M3 3l10 10M13 3L3 13",
  skipped: "M3 3l5 5-5 5M9 3l5 5-5 5",
  cancelled: "M3 13L13 3",
};

export function StatusBadge({ status }: { status: Status }) {
  const { _ } = useLingui();
  return (
    <span className={`status s-${status}`}>
      <svg viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor" strokeWidth="2.6">
        <path d={SHAPES[status]} />
      </svg>
      {_(STATUS_WORDS[status])}
    </span>
  );
}
