/** The catalogue: every node type with its documentation, params and state; and the plugins that they come from. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Button } from "react-aria-components";

import { api, data, type Schemas } from "../../api/client";
import { may, useSession } from "../../api/session";
import { useFilters } from "../../ui/filters";
import { Search } from "../../ui/field";
import { JsonView } from "../../ui/json";
import { Page } from "../../ui/page";
import { Empty, Loaded, Listed, Refused } from "../../ui/states";
import { Table } from "../../ui/table";

type NodeType = Schemas["NodeType"];

export default function NodeTypesPage() {
  const { t } = useLingui();
  const [filters, setFilters] = useFilters(["q"]);
  const pages = useInfiniteQuery({
    queryKey: ["node-types"],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) => data(api.GET("/api/v1/node-types", { params: { query: { limit: 200, cursor: pageParam } } })),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const { hasNextPage, fetchNextPage } = pages;
  useEffect(() => {
    if (hasNextPage) void fetchNextPage();
  }, [hasNextPage, fetchNextPage, pages.data]);
  const wanted = filters.q.toLowerCase();
  const all = pages.data?.pages.flatMap((page) => page.data) ?? [];
  const rows = all.filter((row) => `${row.type_id} ${row.title} ${row.summary} ${row.category}`.toLowerCase().includes(wanted));
  return (
    <Page title={t`Node types`}>
      <div className="row" role="search">
        <Search label={t`Name or purpose`} value={filters.q} onChange={(q) => setFilters({ q })} />
      </div>
      <Listed query={pages} none={null}>
        {rows.length === 0 && <Empty title={<Trans>No node type is like this</Trans>} />}
        <ul className="stack" aria-label={t`Node types`}>
          {rows.map((row) => (
            <li key={row.type_id} className="card">
              <NodeTypeCard type={row} />
            </li>
          ))}
        </ul>
      </Listed>
      <Plugins />
    </Page>
  );
}

function NodeTypeCard({ type }: { type: NodeType }) {
  const { t } = useLingui();
  const [opened, setOpened] = useState(false);
  const session = useSession();
  const client = useQueryClient();
  const change = useMutation({
    mutationFn: () =>
      data(api.PATCH("/api/v1/node-types/{type_id}", { params: { path: { type_id: type.type_id } }, body: { enabled: !type.enabled } as Schemas["PatchNodeType"] })),
    onSettled: () => client.invalidateQueries({ queryKey: ["node-types"] }),
  });
  return (
    <div className="stack">
      <div className="row">
        <h2 className="mono">{type.type_id}</h2>
        <span className="chip">{type.category}</span>
        {!type.enabled && (
          <span className="status s-failed">
            <Trans>switched off</Trans>
          </span>
        )}
        <span className="grow" />
        {may(session.data, "admin") && (
          <Button
            className="button small"
            aria-label={type.enabled ? t`Switch off ${type.type_id}` : t`Switch on ${type.type_id}`}
            isPending={change.isPending}
            onPress={() => change.mutate()}
          >
            {type.enabled ? <Trans>Switch off</Trans> : <Trans>Switch on</Trans>}
          </Button>
        )}
      </div>
      <p lang="en">{type.summary}</p>
      <Refused error={change.error} />
      <details onToggle={(event) => setOpened(event.currentTarget.open)}>
        <summary>
          <Trans>Documentation, params and errors</Trans>
        </summary>
        {opened && <div className="stack">
          <pre lang="en">{type.documentation}</pre>
          <Params schema={type.params_schema} />
          {type.errors && (
            <dl className="facts" lang="en">
              {Object.entries(type.errors).map(([code, what]) => (
                <div key={code} style={{ display: "contents" }}>
                  <dt>
                    <code>{code}</code>
                  </dt>
                  <dd>{what}</dd>
                </div>
              ))}
            </dl>
          )}
          <JsonView value={{ params: type.params_schema, output: type.output_schema, defaults: type.default_params }} label={type.type_id} />
        </div>}
      </details>
    </div>
  );
}

function Params({ schema }: { schema: Record<string, unknown> }) {
  const { t } = useLingui();
  const properties = Object.entries((schema["properties"] ?? {}) as Record<string, Record<string, unknown>>);
  const required = new Set((schema["required"] ?? []) as string[]);
  if (properties.length === 0) return null;
  return (
    <Table
      label={t`Params`}
      rows={properties}
      rowKey={([name]) => name}
      columns={[
        { id: "name", title: t`Param`, cell: ([name]) => <code>{name}</code> },
        { id: "required", title: t`Required`, cell: ([name]) => (required.has(name) ? <Trans>required</Trans> : "") },
        { id: "what", title: t`What it is`, cell: ([, one]) => <span lang="en">{String(one["description"] ?? "")}</span> },
      ]}
    />
  );
}

function Plugins() {
  const { t } = useLingui();
  const plugins = useQuery({ queryKey: ["plugins"], queryFn: () => data(api.GET("/api/v1/plugins", { params: { query: { limit: 200 } } })) });
  return (
    <section className="stack">
      <h2>
        <Trans>Plugins</Trans>
      </h2>
      <Loaded query={plugins}>
        {(found) => (
          <Table
            label={t`Plugins`}
            rows={found.data}
            rowKey={(row) => row.name}
            columns={[
              { id: "name", title: t`Plugin`, cell: (row) => <code>{row.name}</code> },
              { id: "from", title: t`Package`, cell: (row) => <code>{`${row.distribution ?? "–"} ${row.version ?? ""}`}</code> },
              { id: "state", title: t`State`, cell: (row) => <code>{row.status}</code> },
              { id: "types", title: t`Node types`, cell: (row) => row.node_types.map((one) => <span className="chip" key={one}>{one}</span>) },
              {
                id: "problems",
                title: t`Problems`,
                cell: (row) => (
                  <ul lang="en">
                    {row.problems.map((one, at) => (
                      <li key={at}>{one.message}</li>
                    ))}
                  </ul>
                ),
              },
            ]}
          />
        )}
      </Loaded>
    </section>
  );
}
