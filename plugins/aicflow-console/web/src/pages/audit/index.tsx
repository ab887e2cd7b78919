/** Who changed what and who was refused; and whether the log is whole. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { Button } from "react-aria-components";

import { api, data } from "../../api/client";
import { useFilters } from "../../ui/filters";
import { Search } from "../../ui/field";
import { Page } from "../../ui/page";
import { Empty, Listed } from "../../ui/states";
import { Table } from "../../ui/table";
import { Instant } from "../../ui/time";

export default function AuditPage() {
  const { t } = useLingui();
  const [filters, setFilters] = useFilters(["actor", "action", "target"]);
  const pages = useInfiniteQuery({
    queryKey: ["audit", filters],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) =>
      data(
        api.GET("/api/v1/audit", {
          params: {
            query: {
              limit: 100,
              cursor: pageParam,
              actor: filters.actor || undefined,
              action: filters.action || undefined,
              target: filters.target || undefined,
            },
          },
        }),
      ),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const verify = useMutation({ mutationFn: () => data(api.GET("/api/v1/audit/verify")) });
  const rows = pages.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <Page
      title={t`Audit log`}
      actions={
        pages.data && (
          <Button className="button" isPending={verify.isPending} onPress={() => verify.mutate()}>
            <Trans>Verify</Trans>
          </Button>
        )
      }
    >
      <div role="status">
        {verify.data &&
          (verify.data.problems.length === 0 ? (
            <p>
              <Plural value={verify.data.entries} one="# entry, none changed or removed." other="# entries, none changed or removed." />
            </p>
          ) : (
            <ul lang="en" className="failure">
              {verify.data.problems.map((one) => (
                <li key={one}>{one}</li>
              ))}
            </ul>
          ))}
        {verify.error && <p lang="en">{verify.error.message}</p>}
      </div>
      <div className="row" role="search">
        <Search label={t`Actor`} placeholder="key:…" value={filters.actor} onChange={(actor) => setFilters({ actor })} />
        <Search label={t`Action`} placeholder="create_workflow" value={filters.action} onChange={(action) => setFilters({ action })} />
        <Search label={t`Target`} placeholder="workflows/…" value={filters.target} onChange={(target) => setFilters({ target })} />
      </div>
      <Listed query={pages} none={<Empty title={<Trans>No entry is like this</Trans>} />}>
          <Table
            label={t`Audit log`}
            rows={rows}
            rowKey={(row) => String(row.seq)}
            columns={[
              { id: "seq", title: t`Number`, cell: (row) => <span className="num">{row.seq}</span> },
              { id: "at", title: t`When`, cell: (row) => <Instant at={row.at} /> },
              { id: "actor", title: t`Actor`, cell: (row) => <code>{row.actor}</code> },
              { id: "action", title: t`Action`, cell: (row) => <code>{row.action}</code> },
              { id: "target", title: t`Target`, cell: (row) => <code>{row.target}</code> },
              { id: "outcome", title: t`Outcome`, cell: (row) => <code>{row.outcome}</code> },
              { id: "address", title: t`Address`, cell: (row) => <code>{row.address ?? "–"}</code> },
            ]}
          />
      </Listed>
    </Page>
  );
}
