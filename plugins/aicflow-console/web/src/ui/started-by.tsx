/** What started an execution, with a link to it where it is another one. */
import { Trans } from "@lingui/react/macro";
import { Link } from "wouter";

import type { Schemas } from "../api/client";

export function StartedBy({ execution }: { execution: Schemas["Execution"] }) {
  const { trigger } = execution;
  if (trigger.parent_execution_id) {
    return (
      <Link href={`/executions/${trigger.parent_execution_id}`}>
        <Trans>another execution</Trans>
      </Link>
    );
  }
  if (execution.rerun_of) {
    return (
      <Link href={`/executions/${execution.rerun_of}`}>
        <Trans>a rerun</Trans>
      </Link>
    );
  }
  return trigger.trigger_id ? <code>{trigger.trigger_id}</code> : <Trans>the API</Trans>;
}
