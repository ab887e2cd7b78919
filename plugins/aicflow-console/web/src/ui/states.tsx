/** What a page shows in place of what it has not got: loading, nothing there, refused, offline. */
import { Trans, useLingui } from "@lingui/react/macro";
import type { InfiniteData, UseInfiniteQueryResult, UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Button } from "react-aria-components";

import { Problem } from "../api/client";

export function Loading({ lines = 4 }: { lines?: number }) {
  const { t } = useLingui();
  return (
    <div className="stack" role="status" aria-label={t`Loading`}>
      {Array.from({ length: lines }, (_, at) => (
        <div className="skeleton" key={at} style={{ width: `${90 - at * 12}%` }} />
      ))}
    </div>
  );
}

export function Empty({ title, children }: { title: ReactNode; children?: ReactNode }) {
  return (
    <div className="state card">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const problem = error instanceof Problem ? error : null;
  return (
    <div className="state card" role="alert">
      <h2>
        {problem?.code === "offline" ? (
          <Trans>The server cannot be reached</Trans>
        ) : problem?.status === 404 ? (
          <Trans>Not found</Trans>
        ) : problem?.status === 403 ? (
          <Trans>Your key may not see this</Trans>
        ) : (
          <Trans>This could not be loaded</Trans>
        )}
      </h2>
      {problem?.code !== "offline" && <p lang="en">{error instanceof Error ? error.message : String(error)}</p>}
      {problem?.hint && <p className="soft" lang="en">{problem.hint}</p>}
      {problem?.requestId && (
        <p className="soft">
          <Trans>
            Request <code>{problem.requestId}</code>
          </Trans>
        </p>
      )}
      {retry && (
        <Button className="button" onPress={retry}>
          <Trans>Try again</Trans>
        </Button>
      )}
    </div>
  );
}

/** The data of a query, or the state it is in. */
export function Loaded<T>({ query, children }: { query: UseQueryResult<T>; children: (data: T) => ReactNode }) {
  if (query.data !== undefined) return children(query.data);
  if (query.error) return <Failed error={query.error} retry={() => void query.refetch()} />;
  return <Loading />;
}

/** What an action was refused for: the problem's words, its hint, and what is wrong in the request. */
export function Refused({ error }: { error: unknown }) {
  if (!(error instanceof Error)) return null;
  const parts = error instanceof Problem ? [error.hint, ...error.errors.map((one) => one.message)].filter((one) => one && !error.message.includes(one)) : [];
  return (
    <p role="alert" lang="en" style={{ color: "var(--failed)" }}>
      {[error.message, ...parts].join(" ")}
    </p>
  );
}

type Pages = UseInfiniteQueryResult<InfiniteData<{ data: readonly unknown[] }>>;

export function More({ query }: { query: Pages }) {
  if (!query.hasNextPage) return null;
  return (
    <Button className="button" onPress={() => void query.fetchNextPage()} isPending={query.isFetchingNextPage}>
      <Trans>Show more</Trans>
    </Button>
  );
}

/** A list that comes in pages, or the state it is in; `none` when nothing is in it. */
export function Listed({ query, none, children }: { query: Pages; none: ReactNode; children: ReactNode }) {
  if (query.error && !query.data) return <Failed error={query.error} retry={() => void query.refetch()} />;
  if (query.isPending) return <Loading />;
  if (!query.data?.pages.some((page) => page.data.length > 0)) return none;
  return (
    <>
      {children}
      <More query={query} />
    </>
  );
}
