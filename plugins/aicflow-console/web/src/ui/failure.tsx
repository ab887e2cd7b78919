/** Why something failed: what, where, what to do. Its words are the server's and the workflow's. */
import { Trans } from "@lingui/react/macro";

import type { Schemas } from "../api/client";

export function Failure({ failure }: { failure: Schemas["FailureReport"] }) {
  return (
    <div className="failure" role="group" aria-label={failure.code}>
      <div className="row">
        <b className="mono">{failure.code}</b>
        {failure.node_id && <code>{failure.node_id}</code>}
        {failure.pointer && <code>{failure.pointer}</code>}
      </div>
      <pre lang="en">{failure.message}</pre>
      {failure.hint && (
        <p className="soft" lang="en">
          {failure.hint}
        </p>
      )}
      {failure.excerpt && (
        <figure>
          <figcaption className="soft">
            <Trans>Line {failure.line}</Trans>
          </figcaption>
          <pre className="json">{failure.excerpt}</pre>
        </figure>
      )}
    </div>
  );
}
