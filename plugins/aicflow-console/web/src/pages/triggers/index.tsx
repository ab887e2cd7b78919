/** All triggers: what they listen for, whether they are on, and when they fire next. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "wouter";

import { api, data } from "../../api/client";
import { TriggerState } from "../../ui/trigger";
import { useFilters } from "../../ui/filters";
import { Search } from "../../ui/field";
import { Page } from "../../ui/page";
import { Empty, Listed } from "../../ui/states";
import { Table } from "../../ui/table";

export default function TriggersPage() {
  const { t } = useLingui();
  const [filters, setFilters] = useFilters(["workflow_id"]);
  const pages = useInfiniteQuery({
    queryKey: ["triggers", filters],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) =>
      data(api.GET("/api/v1/triggers", { params: { query: { limit: 50, cursor: pageParam, workflow_id: filters.workflow_id || undefined } } })),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const rows = pages.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <Page title={t`Triggers`}>
      <div className="row" role="search">
        <Search label={t`Workflow`} value={filters.workflow_id} onChange={(workflow_id) => setFilters({ workflow_id })} />
      </div>
      <Listed query={pages} none={<Empty title={filters.workflow_id ? <Trans>This workflow has no triggers</Trans> : <Trans>No workflow has triggers yet</Trans>} />}>
          <Table
            label={t`Triggers`}
            rows={rows}
            rowKey={(row) => row.id}
            columns={[
              { id: "name", title: t`Trigger`, cell: (row) => <Link className="mono" href={`/triggers/${encodeURIComponent(row.id)}`}>{row.id}</Link> },
              { id: "type", title: t`Type`, cell: (row) => <code>{row.type_id}</code> },
              { id: "state", title: t`State`, cell: (row) => <TriggerState trigger={row} /> },
              { id: "params", title: t`What it listens for`, cell: (row) => <code>{JSON.stringify(row.params).slice(0, 120)}</code> },
            ]}
          />
      </Listed>
    </Page>
  );
}
