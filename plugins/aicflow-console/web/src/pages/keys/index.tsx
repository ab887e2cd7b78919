/** API keys: made (the key is shown once), rotated, revoked. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { Button } from "react-aria-components";

import { api, data, type Schemas } from "../../api/client";
import { ModalDialog } from "../../ui/dialog";
import { Page } from "../../ui/page";
import { Failed, Loading, Refused } from "../../ui/states";
import { Table } from "../../ui/table";
import { Instant } from "../../ui/time";

type ApiKey = Schemas["ApiKey"];
const SCOPES = ["read", "execute", "write", "admin"] as const;

export default function KeysPage() {
  const { t } = useLingui();
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  const pages = useInfiniteQuery({
    queryKey: ["keys"],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) => data(api.GET("/api/v1/api-keys", { params: { query: { limit: 100, cursor: pageParam } } })),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const rows = pages.data?.pages.flatMap((page) => page.data) ?? [];
  const now = Date.now();
  return (
    <Page
      title={t`API keys`}
      actions={
        pages.data && (
          <Button className="button primary" onPress={() => setMaking(true)}>
            <Trans>New key…</Trans>
          </Button>
        )
      }
    >
      {pages.error && !pages.data ? (
        <Failed error={pages.error} retry={() => void pages.refetch()} />
      ) : pages.isPending ? (
        <Loading />
      ) : (
        <Table
          label={t`API keys`}
          rows={rows}
          rowKey={(row) => row.id}
          columns={[
            { id: "name", title: t`Name`, cell: (row) => <span data-text>{row.name}</span> },
            { id: "scopes", title: t`Scopes`, cell: (row) => row.scopes.map((one) => <span className="chip" key={one}>{one}</span>) },
            { id: "limit", title: t`Only for`, cell: (row) => <Limit apiKey={row} /> },
            { id: "used", title: t`Last used`, cell: (row) => <Instant at={row.last_used_at} /> },
            { id: "until", title: t`Expires`, cell: (row) => <Instant at={row.expires_at} /> },
            {
              id: "act",
              title: "",
              cell: (row) =>
                row.revoked_at ? (
                  <span className="soft">
                    <Trans>revoked</Trans>
                  </span>
                ) : row.expires_at && Date.parse(row.expires_at) < now ? (
                  <span className="soft">
                    <Trans>expired</Trans>
                  </span>
                ) : (
                  <Button className="button small danger" aria-label={t`Revoke ${row.name}`} onPress={() => setRevoking(row)}>
                    <Trans>Revoke…</Trans>
                  </Button>
                ),
            },
          ]}
        />
      )}
      <ModalDialog title={t`New API key`} isOpen={making} onClose={() => setMaking(false)}>
        {making && <Make done={() => setMaking(false)} />}
      </ModalDialog>
      <ModalDialog title={t`Revoke a key`} isOpen={revoking !== null} onClose={() => setRevoking(null)}>
        {revoking && <Revoke apiKey={revoking} done={() => setRevoking(null)} />}
      </ModalDialog>
    </Page>
  );
}

function Limit({ apiKey }: { apiKey: ApiKey }) {
  const parts = [...apiKey.workflows, ...Object.entries(apiKey.labels).map(([name, value]) => `${name}=${value}`), ...apiKey.addresses];
  return parts.length === 0 ? <span className="soft">–</span> : <>{parts.map((one) => <span className="chip" key={one}>{one}</span>)}</>;
}

function Make({ done }: { done: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [given, setGiven] = useState({ name: "", scopes: ["read"] as string[], workflows: "", days: "" });
  const make = useMutation({
    mutationFn: () =>
      data(
        api.POST("/api/v1/api-keys", {
          body: {
            name: given.name.trim(),
            scopes: given.scopes,
            workflows: given.workflows.split(/[\s,]+/).filter(Boolean),
            expires_at: given.days ? new Date(Date.now() + Number(given.days) * 86_400_000).toISOString() : null,
          } as Schemas["CreateApiKey"],
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: ["keys"] }),
  });
  if (make.data) {
    const { key } = make.data;
    return (
      <div className="stack">
        <p role="status">
          <Trans>Copy the key now: it is not shown again.</Trans>
        </p>
        <pre data-text>{key}</pre>
        <div className="row">
          <Button className="button" onPress={() => void navigator.clipboard?.writeText(key)}>
            <Trans>Copy</Trans>
          </Button>
          <Button className="button primary" onPress={done}>
            <Trans>Done</Trans>
          </Button>
        </div>
      </div>
    );
  }
  const submit = (event: FormEvent) => {
    event.preventDefault();
    make.mutate();
  };
  const toggle = (scope: string) =>
    setGiven({ ...given, scopes: given.scopes.includes(scope) ? given.scopes.filter((one) => one !== scope) : [...given.scopes, scope] });
  return (
    <form className="stack" onSubmit={submit}>
      <div className="field">
        <label htmlFor="key-name">{t`Name`}</label>
        <input id="key-name" required value={given.name} onChange={(event) => setGiven({ ...given, name: event.target.value })} />
      </div>
      <fieldset className="row">
        <legend>
          <Trans>Scopes</Trans>
        </legend>
        {SCOPES.map((scope) => (
          <label key={scope} className="row">
            <input type="checkbox" checked={given.scopes.includes(scope)} onChange={() => toggle(scope)} /> <code>{scope}</code>
          </label>
        ))}
      </fieldset>
      <div className="field">
        <label htmlFor="key-workflows">{t`Only for these workflows`}</label>
        <input id="key-workflows" value={given.workflows} onChange={(event) => setGiven({ ...given, workflows: event.target.value })} />
        <span className="soft">
          <Trans>Ids with commas; all when empty</Trans>
        </span>
      </div>
      <div className="field">
        <label htmlFor="key-days">{t`Expires after days`}</label>
        <input id="key-days" type="number" min="1" max="3650" value={given.days} onChange={(event) => setGiven({ ...given, days: event.target.value })} />
      </div>
      <Refused error={make.error} />
      <div className="row">
        <Button className="button primary" type="submit" isDisabled={given.scopes.length === 0} isPending={make.isPending}>
          <Trans>Create</Trans>
        </Button>
        <Button className="button" onPress={done}>
          <Trans>Close</Trans>
        </Button>
      </div>
    </form>
  );
}

function Revoke({ apiKey, done }: { apiKey: ApiKey; done: () => void }) {
  const client = useQueryClient();
  const revoke = useMutation({
    mutationFn: async () => {
      await api.DELETE("/api/v1/api-keys/{key_id}", { params: { path: { key_id: apiKey.id } } });
    },
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["keys"] });
      done();
    },
  });
  return (
    <>
      <p>
        <Trans>
          Requests with <b data-text>{apiKey.name}</b> are refused from now on, and its open streams end.
        </Trans>
      </p>
      <Refused error={revoke.error} />
      <div className="row">
        <Button className="button danger" isPending={revoke.isPending} onPress={() => revoke.mutate()}>
          <Trans>Revoke</Trans>
        </Button>
        <Button className="button" onPress={done}>
          <Trans>Close</Trans>
        </Button>
      </div>
    </>
  );
}
