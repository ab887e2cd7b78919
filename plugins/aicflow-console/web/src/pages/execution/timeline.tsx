/** Where the time went: a bar for each attempt of each node, waits hatched. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useState, useSyncExternalStore } from "react";
import { Button } from "react-aria-components";

import type { ExecutionLive } from "../../live/execution";
import { duration, useNow } from "../../ui/time";

const AT_ONCE = 200;

export function Timeline({ live, selected, onSelect }: { live: ExecutionLive; selected: string | null; onSelect: (id: string) => void }) {
  const { t } = useLingui();
  useSyncExternalStore(live.subscribeAll, live.snapshot);
  const now = useNow(live.ended ? 0 : 500);
  const [shown, setShown] = useState(AT_ONCE);
  const rows = [...live.all()].filter(([, step]) => step.attempts.length > 0);
  if (rows.length === 0) {
    return (
      <p className="soft">
        <Trans>No node has begun yet.</Trans>
      </p>
    );
  }
  const from = Math.min(...rows.map(([, step]) => step.attempts[0]!.from));
  const to = Math.max(...rows.map(([, step]) => step.attempts.at(-1)!.to ?? now), from + 1);
  const place = (start: number, end: number | null) => ({
    insetInlineStart: `${(100 * (start - from)) / (to - from)}%`,
    inlineSize: `${(100 * Math.max((end ?? now) - start, 0)) / (to - from)}%`,
  });
  return (
    <div className="stack">
      <div className="timeline" role="list" aria-label={t`Timeline`}>
        {rows.slice(0, shown).map(([id, step]) => {
          const first = step.attempts[0]!;
          const last = step.attempts.at(-1)!;
          const took = duration((last.to ?? now) - first.from);
          return (
            <div role="listitem" key={id}>
              <button type="button" aria-pressed={selected === id} onClick={() => onSelect(id)}>
                <span className="name mono">{id}</span>
                <span className="track" dir="ltr" aria-hidden="true">
                  {step.attempts.map((attempt, at) => (
                    <span key={at} className={`bar s-${attempt.status}`} style={place(attempt.from, attempt.to)} />
                  ))}
                  {step.attempts.flatMap((attempt, at) =>
                    attempt.waits.map(([start, end], wait) => <span key={`${at} ${wait}`} className="bar wait" style={place(start, end)} />),
                  )}
                </span>
                <span className="took">
                  {took}
                  {step.attempts.length > 1 && (
                    <span className="visually-hidden">
                      <Plural value={step.attempts.length} one="# attempt" other="# attempts" />
                    </span>
                  )}
                </span>
              </button>
            </div>
          );
        })}
      </div>
      {rows.length > shown && (
        <Button className="button" onPress={() => setShown(shown + 5 * AT_ONCE)}>
          <Trans>Show more ({rows.length - shown})</Trans>
        </Button>
      )}
    </div>
  );
}
