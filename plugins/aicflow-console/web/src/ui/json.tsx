/** A JSON value as a tree that opens lazily, or raw. All of it is text: nothing in it is ever markup. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useState } from "react";
import { Button } from "react-aria-components";

const AT_ONCE = 100;
const LONGEST = 2_000;

export function JsonView({ value, label }: { value: unknown; label: string }) {
  const { t } = useLingui();
  const [raw, setRaw] = useState(false);
  const copy = () => void navigator.clipboard?.writeText(JSON.stringify(value, null, 2));
  return (
    <div className="stack">
      <div className="row">
        <Button className="button small" onPress={() => setRaw(!raw)} aria-pressed={raw}>
          {raw ? <Trans>Tree</Trans> : <Trans>Raw</Trans>}
        </Button>
        <Button className="button small" onPress={copy}>
          <Trans>Copy</Trans>
        </Button>
      </div>
      <div className="json" role="region" aria-label={label || t`Value`} tabIndex={0}>
        {raw ? <Raw value={value} /> : <Branch value={value} open />}
      </div>
    </div>
  );
}

function Raw({ value }: { value: unknown }) {
  const text = JSON.stringify(value, null, 2) ?? "null";
  const [all, setAll] = useState(text.length <= 100_000);
  return (
    <>
      <pre>{all ? text : text.slice(0, 100_000)}</pre>
      {!all && (
        <Button className="button small" onPress={() => setAll(true)}>
          <Trans>Show all</Trans>
        </Button>
      )}
    </>
  );
}

function Branch({ name, value, open = false }: { name?: string; value: unknown; open?: boolean }) {
  const [opened, setOpened] = useState(open);
  const [shown, setShown] = useState(AT_ONCE);
  const key = name === undefined ? null : <span className="key" data-text>{name}: </span>;
  if (value === null || typeof value !== "object") {
    return (
      <div className="leaf">
        {key}
        <Leaf value={value} />
      </div>
    );
  }
  const entries: [string, unknown][] = Array.isArray(value)
    ? value.slice(0, shown).map((one, at) => [String(at), one])
    : Object.entries(value).slice(0, shown);
  const count = Array.isArray(value) ? value.length : Object.keys(value).length;
  if (count === 0) {
    return (
      <div className="leaf">
        {key}
        {Array.isArray(value) ? "[]" : "{}"}
      </div>
    );
  }
  return (
    <details open={opened} onToggle={(event) => setOpened(event.currentTarget.open)}>
      <summary>
        {key}
        <span className="soft">
          {Array.isArray(value) ? (
            <>
              [<Plural value={count} one="# item" other="# items" />]
            </>
          ) : (
            <>
              {"{"}
              <Plural value={count} one="# field" other="# fields" />
              {"}"}
            </>
          )}
        </span>
      </summary>
      {opened && entries.map(([inner, one]) => <Branch key={inner} name={inner} value={one} />)}
      {opened && count > shown && (
        <Button className="button small" onPress={() => setShown(shown + 10 * AT_ONCE)}>
          <Trans>Show more ({count - shown})</Trans>
        </Button>
      )}
    </details>
  );
}

function Leaf({ value }: { value: unknown }) {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  const [all, setAll] = useState(text.length <= LONGEST);
  return (
    <>
      <span data-text>{all ? text : `${text.slice(0, LONGEST)}…`}</span>
      {!all && (
        <Button className="button small" onPress={() => setAll(true)}>
          <Trans>Show all</Trans>
        </Button>
      )}
    </>
  );
}
