/** Two versions: what changed in meaning, and their texts beside each other. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { Fragment, useMemo, useRef, useState } from "react";
import { Button } from "react-aria-components";
import { stringify } from "yaml";

import { api, data, type Schemas } from "../../api/client";
import { useShortcuts } from "../../ui/shortcuts";
import { Empty, Loaded } from "../../ui/states";
import { Table } from "../../ui/table";
import { blocksOf, folded, type Block, type Row } from "./lines";

export type Change = Schemas["WorkflowChange"];

export function useDiff(id: string, from: number, to: number) {
  return useQuery({
    queryKey: ["diff", id, from, to],
    staleTime: Infinity, // versions never change
    queryFn: () => data(api.GET("/api/v1/workflows/{workflow_id}/diff", { params: { path: { workflow_id: id }, query: { from, to } } })),
  });
}

function useVersion(id: string, version: number) {
  return useQuery({
    queryKey: ["version", id, version],
    staleTime: Infinity,
    queryFn: () => data(api.GET("/api/v1/workflows/{workflow_id}/versions/{version}", { params: { path: { workflow_id: id, version } } })),
  });
}

export function Compare({ id, from, to }: { id: string; from: number; to: number }) {
  const { t } = useLingui();
  const diff = useDiff(id, from, to);
  const before = useVersion(id, from);
  const after = useVersion(id, to);
  return (
    <>
      <section className="stack" aria-label={t`What changed in meaning`}>
        <h3>
          <Trans>What changed in meaning</Trans>
        </h3>
        <Loaded query={diff}>{(found) => <Changes changes={found.changes} />}</Loaded>
      </section>
      <Loaded query={before}>
        {(old) => <Loaded query={after}>{(now) => <Texts key={`${from} ${to}`} from={from} to={to} before={old.document} after={now.document} />}</Loaded>}
      </Loaded>
    </>
  );
}

/** Added, removed, changed, renamed: a sign and a word. */
export function Kind({ kind }: { kind: Change["kind"] }) {
  const sign = { added: "+", removed: "−", changed: "~", renamed: "→" }[kind];
  return (
    <span className={`change-kind ${kind}`}>
      <b aria-hidden="true">{sign}</b>{" "}
      {kind === "added" ? <Trans>added</Trans> : kind === "removed" ? <Trans>removed</Trans> : kind === "renamed" ? <Trans>renamed</Trans> : <Trans>changed</Trans>}
    </span>
  );
}

export function What({ change }: { change: Change }) {
  const { what, name, path } = change;
  return (
    <span>
      {what === "node" ? (
        <Trans>node</Trans>
      ) : what === "edge" ? (
        <Trans>edge</Trans>
      ) : what === "trigger" ? (
        <Trans>trigger</Trans>
      ) : what === "var" ? (
        <Trans>variable</Trans>
      ) : what === "setting" ? (
        <Trans>setting</Trans>
      ) : (
        <Trans>workflow</Trans>
      )}{" "}
      <code>{[name, path].filter(Boolean).join(" ")}</code>
    </span>
  );
}

function Changes({ changes }: { changes: readonly Change[] }) {
  const { t } = useLingui();
  if (changes.length === 0) return <Empty title={<Trans>Nothing changed in meaning</Trans>} />;
  return (
    <Table
      label={t`What changed in meaning`}
      rows={changes.map((change, at) => ({ ...change, at }))}
      rowKey={(row) => String(row.at)}
      columns={[
        { id: "kind", title: t`Change`, cell: (row) => <Kind kind={row.kind} /> },
        { id: "what", title: t`Of what`, cell: (row) => <What change={row} /> },
        { id: "old", title: t`Before`, cell: (row) => <Value value={row.old} /> },
        { id: "new", title: t`After`, cell: (row) => <Value value={row.new} /> },
      ]}
    />
  );
}

function Value({ value }: { value: unknown }) {
  if (value === null || value === undefined) return <span className="soft">–</span>;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  if (text.length <= 120 && !text.includes("\n")) return <code>{text}</code>;
  return (
    <details>
      <summary>
        <code>{text.slice(0, 60)}…</code>
      </summary>
      <pre>{typeof value === "string" ? value : stringify(value)}</pre>
    </details>
  );
}

interface TextsProps {
  from: number;
  to: number;
  before: unknown;
  after: unknown;
}

function Texts({ from, to, before, after }: TextsProps) {
  const { t } = useLingui();
  const blocks = useMemo(() => blocksOf(stringify(before), stringify(after)), [before, after]);
  const table = useRef<HTMLTableElement>(null);
  const count = blocks.filter((block) => block.changed).length;
  const walk = (step: 1 | -1) => {
    const all = [...(table.current?.querySelectorAll<HTMLElement>("tbody[data-change]") ?? [])];
    const at = all.findIndex((one) => one === document.activeElement);
    const next = all[at === -1 ? (step === 1 ? 0 : all.length - 1) : (at + step + all.length) % all.length];
    next?.focus();
    next?.scrollIntoView({ block: "center" });
  };
  useShortcuts(t`Versions`, [
    { keys: "n", label: t`Next change in the texts`, run: () => walk(1) },
    { keys: "p", label: t`Change before in the texts`, run: () => walk(-1) },
  ]);
  let number = 0;
  return (
    <section className="stack" aria-label={t`The texts`}>
      <div className="row">
        <h3 className="grow">
          <Trans>The texts</Trans>
        </h3>
        {count > 0 && (
          <>
            <span className="soft">
              <Plural value={count} one="# change" other="# changes" />
            </span>
            <Button className="button small" onPress={() => walk(-1)}>
              <Trans>Change before</Trans>
            </Button>
            <Button className="button small" onPress={() => walk(1)}>
              <Trans>Next change</Trans>
            </Button>
          </>
        )}
      </div>
      <table className="diff" ref={table} aria-label={t`Version ${from} beside version ${to}`}>
        <colgroup>
          <col className="numbers" />
          <col />
          <col className="numbers" />
          <col />
        </colgroup>
        <thead>
          <tr>
            <th scope="col" colSpan={2}>
              <Trans>Version {from}</Trans>
            </th>
            <th scope="col" colSpan={2}>
              <Trans>Version {to}</Trans>
            </th>
          </tr>
        </thead>
        {blocks.map((block, at) => {
          if (!block.changed) return <Same key={at} block={block} place={blocks.length === 1 ? "only" : at === 0 ? "first" : at === blocks.length - 1 ? "last" : "middle"} />;
          number += 1;
          return (
            <tbody key={at} data-change tabIndex={-1} aria-label={t`Change ${number} of ${count}`}>
              {block.rows.map((row, place) => (
                <Lines key={place} row={row} changed />
              ))}
            </tbody>
          );
        })}
      </table>
    </section>
  );
}

function Same({ block, place }: { block: Block; place: "first" | "middle" | "last" | "only" }) {
  const [all, setAll] = useState(false);
  const { head, hidden, tail } = folded(block, place);
  const lines = (rows: Row[]) => rows.map((row) => <Lines key={row.before?.number} row={row} />);
  return (
    <tbody>
      {lines(head)}
      {all
        ? lines(hidden)
        : hidden.length > 0 && (
            <tr className="fold">
              <td colSpan={4}>
                <Button className="button small quiet" onPress={() => setAll(true)}>
                  <Plural value={hidden.length} one="Show # equal line" other="Show # equal lines" />
                </Button>
              </td>
            </tr>
          )}
      {lines(tail)}
    </tbody>
  );
}

function Lines({ row, changed = false }: { row: Row; changed?: boolean }) {
  return (
    <tr className={changed ? "changed" : undefined}>
      {([["before", row.before], ["after", row.after]] as const).map(([side, line]) => (
        <Fragment key={side}>
          <td className={`${side} num`}>{line?.number}</td>
          <td className={line && changed ? `${side} mark` : side}>
            {line && changed && (
              <>
                <span aria-hidden="true" className="sign">
                  {side === "before" ? "−" : "+"}
                </span>
                <span className="visually-hidden">{side === "before" ? <Trans>Removed:</Trans> : <Trans>Added:</Trans>} </span>
              </>
            )}
            {line && <code>{line.text}</code>}
          </td>
        </Fragment>
      ))}
    </tr>
  );
}
