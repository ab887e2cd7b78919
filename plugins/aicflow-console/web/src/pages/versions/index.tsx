/** The versions of one workflow: who saved what when, two of them compared, and an old one restored. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { Button } from "react-aria-components";
import { Link } from "wouter";

import { Problem, api, data, type Schemas } from "../../api/client";
import { may, useSession } from "../../api/session";
import { ModalDialog } from "../../ui/dialog";
import { useFilters } from "../../ui/filters";
import { Page } from "../../ui/page";
import { Listed, Loaded, Refused } from "../../ui/states";
import { Table } from "../../ui/table";
import { Instant } from "../../ui/time";
import { Compare, Kind, What, useDiff } from "./compare";

type Version = Schemas["WorkflowVersion"];

interface Tagged {
  workflow: Schemas["Workflow"];
  /** Names what is shown: a restore is refused when somebody saved since. */
  etag: string;
}

export default function VersionsPage({ params }: { params: Record<string, string> }) {
  const id = params["id"] ?? "";
  const { t } = useLingui();
  const session = useSession();
  const current = useQuery({
    queryKey: ["workflow", id, "tagged"],
    queryFn: async (): Promise<Tagged> => {
      const { data: workflow, response } = await api.GET("/api/v1/workflows/{workflow_id}", { params: { path: { workflow_id: id } } });
      return { workflow: workflow!, etag: response.headers.get("etag") ?? "" };
    },
  });
  const name = current.data?.workflow.name ?? id;
  return (
    <Page
      title={t`Versions of ${name}`}
      crumbs={
        <>
          <Link href="/workflows">
            <Trans>Workflows</Trans>
          </Link>{" "}
          /{" "}
          <Link href={`/workflows/${encodeURIComponent(id)}`} data-text>
            {name}
          </Link>
        </>
      }
    >
      {may(session.data, "admin") && (
        <p>
          <Link href={`/audit?target=${encodeURIComponent(`workflows/${id}`)}`}>
            <Trans>Who saved it: the audit log</Trans>
          </Link>
        </p>
      )}
      <Loaded query={current}>{(found) => <Versions id={id} current={found} />}</Loaded>
    </Page>
  );
}

function Versions({ id, current }: { id: string; current: Tagged }) {
  const { t } = useLingui();
  const session = useSession();
  const [{ from, to }, setFilters] = useFilters(["from", "to"]);
  const [asked, setAsked] = useState<Version | null>(null);
  const [restored, setRestored] = useState<number | null>(null);
  const now = current.workflow.version;
  const pages = useInfiniteQuery({
    queryKey: ["workflow", id, "versions", now],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) =>
      data(api.GET("/api/v1/workflows/{workflow_id}/versions", { params: { path: { workflow_id: id }, query: { limit: 20, cursor: pageParam } } })),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const rows = pages.data?.pages.flatMap((page) => page.data) ?? [];
  const right = Number(to) || now;
  const left = Number(from) || right - 1;
  const compared = left >= 1 && right >= 1 && left !== right;
  return (
    <>
      {restored !== null && (
        <p role="status" className="card">
          {restored === now ? <Trans>Version {restored} is the current one now.</Trans> : <Trans>Restored.</Trans>}
        </p>
      )}
      <Listed query={pages} none={null}>
        <Table
          label={t`Versions`}
          rows={rows}
          rowKey={(row) => String(row.version)}
          columns={[
            {
              id: "version",
              title: t`Version`,
              cell: (row) => (
                <span className="row">
                  <b className="num">{row.version}</b>
                  {row.version === now && (
                    <span className="status s-succeeded">
                      <Trans>current</Trans>
                    </span>
                  )}
                  {row.version > now && (
                    <span className="status s-waiting">
                      <Trans>draft</Trans>
                    </span>
                  )}
                </span>
              ),
            },
            { id: "at", title: t`Saved`, cell: (row) => <Instant at={row.created_at} /> },
            { id: "who", title: t`By`, cell: (row) => <Author id={row.created_by} /> },
            { id: "what", title: t`What changed`, cell: (row) => <Summary id={id} version={row.version} /> },
            {
              id: "do",
              title: "",
              cell: (row) => (
                <span className="row">
                  {row.version > 1 && (
                    <Button
                      className="button small"
                      aria-label={t`Compare version ${row.version} with the one before`}
                      onPress={() => setFilters({ from: String(row.version - 1), to: String(row.version) })}
                    >
                      <Trans>Compare</Trans>
                    </Button>
                  )}
                  {row.version !== now && may(session.data, "write") && (
                    <Button className="button small" aria-label={t`Restore version ${row.version}`} onPress={() => setAsked(row)}>
                      <Trans>Restore…</Trans>
                    </Button>
                  )}
                </span>
              ),
            },
          ]}
        />
      </Listed>
      {(rows.length > 1 || compared) && (
        <section className="stack" aria-label={t`Two versions`}>
          <div className="row">
            <h2 className="grow">
              <Trans>Two versions</Trans>
            </h2>
            <Choice label={t`Before`} value={left} versions={rows} onChange={(version) => setFilters({ from: String(version), to: String(right) })} />
            <Choice label={t`After`} value={right} versions={rows} onChange={(version) => setFilters({ from: String(left), to: String(version) })} />
          </div>
          {compared ? (
            <Compare id={id} from={left} to={right} />
          ) : (
            <p className="soft">
              <Trans>Choose two different versions.</Trans>
            </p>
          )}
        </section>
      )}
      <ModalDialog title={t`Restore a version`} isOpen={asked !== null} onClose={() => setAsked(null)}>
        {asked && (
          <Restore
            id={id}
            version={asked}
            current={current}
            onClose={() => setAsked(null)}
            onDone={(version) => {
              setAsked(null);
              setRestored(version);
              setFilters({ from: "", to: "" });
            }}
          />
        )}
      </ModalDialog>
    </>
  );
}

function Choice({ label, value, versions, onChange }: { label: string; value: number; versions: readonly Version[]; onChange: (version: number) => void }) {
  const id = useId();
  const numbers = versions.map((one) => one.version);
  return (
    <div className="row">
      <label className="soft" htmlFor={id}>
        {label}
      </label>
      <span className="field">
        <select id={id} value={value} onChange={(event) => onChange(Number(event.target.value))}>
          {(numbers.includes(value) ? numbers : [value, ...numbers]).map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </span>
    </div>
  );
}

/** Who saved it: the name of the key where one may know it, else what the audit log calls them. */
function Author({ id }: { id: string | null | undefined }) {
  const session = useSession();
  const keys = useQuery({
    queryKey: ["keys", "names"],
    enabled: may(session.data, "admin"),
    staleTime: 60_000,
    queryFn: () => data(api.GET("/api/v1/api-keys", { params: { query: { limit: 200 } } })),
  });
  if (!id) return <span className="soft">–</span>;
  const key = keys.data?.data.find((one) => `key:${one.id}` === id);
  return key ? <span data-text>{key.name}</span> : <code>{id}</code>;
}

/** The first changes since the version before, and how many more. */
function Summary({ id, version }: { id: string; version: number }) {
  if (version === 1) {
    return (
      <span className="soft">
        <Trans>The first version</Trans>
      </span>
    );
  }
  return <SummaryOf id={id} version={version} />;
}

function SummaryOf({ id, version }: { id: string; version: number }) {
  const { data: diff, error } = useDiff(id, version - 1, version);
  if (error) return <span className="soft">–</span>;
  if (!diff) return <span className="soft">…</span>;
  const more = diff.changes.length - 3;
  if (diff.changes.length === 0) {
    return (
      <span className="soft">
        <Trans>Nothing in meaning</Trans>
      </span>
    );
  }
  return (
    <ul>
      {diff.changes.slice(0, 3).map((change, at) => (
        <li key={at}>
          <Kind kind={change.kind} /> <What change={change} />
        </li>
      ))}
      {more > 0 && (
        <li className="soft">
          <Plural value={more} one="and # more" other="and # more" />
        </li>
      )}
    </ul>
  );
}

interface RestoreProps {
  id: string;
  version: Version;
  current: Tagged;
  onClose: () => void;
  onDone: (version: number) => void;
}

function Restore({ id, version, current, onClose, onDone }: RestoreProps) {
  const client = useQueryClient();
  const now = current.workflow.version;
  const restore = useMutation({
    mutationFn: () =>
      data(
        api.POST("/api/v1/workflows/{workflow_id}/versions/{version}/restore", {
          params: { path: { workflow_id: id, version: version.version }, header: { "If-Match": current.etag } },
        }),
      ),
    onSuccess: async (made) => {
      await client.invalidateQueries({ queryKey: ["workflow", id] });
      onDone(made.version);
    },
  });
  const outdated = restore.error instanceof Problem && restore.error.status === 412;
  return (
    <>
      <p>
        <Trans>
          What version {version.version} says becomes the current version. Version {now} and all others stay in the list. Executions under way go on with the version that they began with.
        </Trans>
      </p>
      {outdated ? (
        <p role="alert">
          <Trans>Somebody saved this workflow since you opened this page. Look at what it is now, then decide again.</Trans>
        </p>
      ) : (
        <Refused error={restore.error} />
      )}
      <div className="row">
        {outdated ? (
          <Button
            className="button primary"
            onPress={() => {
              void client.invalidateQueries({ queryKey: ["workflow", id] });
              onClose();
            }}
          >
            <Trans>Show what it is now</Trans>
          </Button>
        ) : (
          <Button className="button primary" isPending={restore.isPending} onPress={() => restore.mutate()}>
            <Trans>Restore version {version.version}</Trans>
          </Button>
        )}
        <Button className="button" onPress={onClose}>
          <Trans>Cancel</Trans>
        </Button>
      </div>
    </>
  );
}
