/** Secrets: written, never read back; which workflows use them. */
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { Button } from "react-aria-components";
import { Link } from "wouter";

import { api, data, type Schemas } from "../../api/client";
import { may, useSession } from "../../api/session";
import { ModalDialog } from "../../ui/dialog";
import { Page } from "../../ui/page";
import { Empty, Listed, Refused } from "../../ui/states";
import { Table } from "../../ui/table";
import { Instant } from "../../ui/time";

type Secret = Schemas["Secret"];

export default function SecretsPage() {
  const { t } = useLingui();
  const session = useSession();
  const [editing, setEditing] = useState<string | null>(null);
  const [leaving, setLeaving] = useState<Secret | null>(null);
  const pages = useInfiniteQuery({
    queryKey: ["secrets"],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) => data(api.GET("/api/v1/secrets", { params: { query: { limit: 100, cursor: pageParam } } })),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const rows = pages.data?.pages.flatMap((page) => page.data) ?? [];
  const admin = may(session.data, "admin");
  return (
    <Page
      title={t`Secrets`}
      actions={
        admin && (
          <Button className="button primary" onPress={() => setEditing("")}>
            <Trans>Add a secret…</Trans>
          </Button>
        )
      }
    >
      <Missing />
      <Listed query={pages} none={<Empty title={<Trans>There are no secrets yet</Trans>}>
          <p className="soft">
            <Trans>Keep tokens and passwords here, and write secrets.NAME in the params that take them.</Trans>
          </p>
        </Empty>}>
          <Table
            label={t`Secrets`}
            rows={rows}
            rowKey={(row) => `${row.source} ${row.name}`}
            columns={[
              { id: "name", title: t`Name`, cell: (row) => <code>{row.name}</code> },
              { id: "source", title: t`Source`, cell: (row) => <code>{row.source}</code> },
              { id: "what", title: t`What it is`, cell: (row) => <span data-text>{row.description}</span> },
              { id: "used", title: t`Used by`, cell: (row) => <Users secret={row} /> },
              { id: "last", title: t`Last used`, cell: (row) => <Instant at={row.last_used_at} /> },
              { id: "updated", title: t`Updated`, cell: (row) => <Instant at={row.updated_at} /> },
              {
                id: "act",
                title: "",
                cell: (row) =>
                  admin &&
                  row.source === "store" && (
                    <span className="row">
                      <Button className="button small" aria-label={t`Change ${row.name}`} onPress={() => setEditing(row.name)}>
                        <Trans>Change…</Trans>
                      </Button>
                      <Button className="button small danger" aria-label={t`Delete ${row.name}`} onPress={() => setLeaving(row)}>
                        <Trans>Delete…</Trans>
                      </Button>
                    </span>
                  ),
              },
            ]}
          />
      </Listed>
      <ModalDialog title={editing === "" ? t`Add a secret` : t`Change a secret`} isOpen={editing !== null} onClose={() => setEditing(null)}>
        {editing !== null && <Edit name={editing} done={() => setEditing(null)} />}
      </ModalDialog>
      <ModalDialog title={t`Delete a secret`} isOpen={leaving !== null} onClose={() => setLeaving(null)}>
        {leaving !== null && <Leave secret={leaving} done={() => setLeaving(null)} />}
      </ModalDialog>
    </Page>
  );
}

/** What workflows name and no source has for them, and keys that the server lacks. */
function Missing() {
  const { t } = useLingui();
  const check = useQuery({ queryKey: ["secrets", "check"], queryFn: () => data(api.GET("/api/v1/secrets-check")) });
  const { unresolved = [], missing_keys: keys = [] } = check.data ?? {};
  if (unresolved.length + keys.length === 0) return null;
  return (
    <section className="failure" aria-label={t`What is missing`}>
      <h2>
        <Trans>What is missing</Trans>
      </h2>
      <ul>
        {unresolved.map((use, at) => (
          <li key={at}>
            <Trans>
              <code>{use.name}</code> is named in <Link href={`/workflows/${encodeURIComponent(use.workflow_id)}`}>{use.workflow_id}</Link> (<code>{use.pointer}</code>), and not there for it.
            </Trans>{" "}
            {use.executions.length > 0 && (
              <>
                <Plural value={use.executions.length} one="# execution under way will ask for it:" other="# executions under way will ask for it:" />{" "}
                {use.executions.map((id) => (
                  <Link key={id} className="mono" href={`/executions/${id}`}>
                    {id}{" "}
                  </Link>
                ))}
              </>
            )}
          </li>
        ))}
        {keys.map((key) => (
          <li key={key}>
            <Trans>
              Some secrets are sealed under the key <code>{key}</code>, which the server does not have.
            </Trans>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Users({ secret }: { secret: Secret }) {
  const names = [...new Set(secret.used_by.map((use) => use.workflow_id))];
  if (names.length === 0) return <span className="soft">–</span>;
  return (
    <details>
      <summary>
        <Plural value={names.length} one="# workflow" other="# workflows" />
      </summary>
      <ul>
        {secret.used_by.map((use, at) => (
          <li key={at} className="mono">
            {use.workflow_id} {use.pointer}
          </li>
        ))}
      </ul>
    </details>
  );
}

function Edit({ name, done }: { name: string; done: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [given, setGiven] = useState({ name, value: "", description: "" });
  const put = useMutation({
    mutationFn: () =>
      data(
        api.PUT("/api/v1/secrets/{name}", {
          params: { path: { name: given.name.trim() } },
          body: { value: given.value || null, description: given.description || null } as Schemas["PutSecret"],
        }),
      ),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["secrets"] });
      done();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    put.mutate();
  };
  return (
    <form className="stack" onSubmit={submit} autoComplete="off">
      <div className="field">
        <label htmlFor="secret-name">{t`Name`}</label>
        <input id="secret-name" required readOnly={name !== ""} value={given.name} onChange={(event) => setGiven({ ...given, name: event.target.value })} />
      </div>
      <div className="field">
        <label htmlFor="secret-value">{t`Value`}</label>
        <input
          id="secret-value"
          type="password"
          autoComplete="new-password"
          required={name === ""}
          value={given.value}
          onChange={(event) => setGiven({ ...given, value: event.target.value })}
        />
        <span className="soft">
          <Trans>It is stored sealed and never shown again.</Trans>
        </span>
      </div>
      <div className="field">
        <label htmlFor="secret-what">{t`What it is`}</label>
        <input id="secret-what" value={given.description} onChange={(event) => setGiven({ ...given, description: event.target.value })} />
      </div>
      <Refused error={put.error} />
      <div className="row">
        <Button className="button primary" type="submit" isPending={put.isPending}>
          <Trans>Save</Trans>
        </Button>
        <Button className="button" onPress={done}>
          <Trans>Close</Trans>
        </Button>
      </div>
    </form>
  );
}

function Leave({ secret, done }: { secret: Secret; done: () => void }) {
  const client = useQueryClient();
  const used = secret.used_by.length > 0;
  const remove = useMutation({
    mutationFn: async () => {
      await api.DELETE("/api/v1/secrets/{name}", { params: { path: { name: secret.name }, query: { force: used || undefined } } });
    },
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["secrets"] });
      done();
    },
  });
  return (
    <>
      <p>
        {used ? (
          <Trans>
            Workflows use <code>{secret.name}</code>. Their executions fail without it.
          </Trans>
        ) : (
          <Trans>
            No workflow uses <code>{secret.name}</code>.
          </Trans>
        )}
      </p>
      <Refused error={remove.error} />
      <div className="row">
        <Button className="button danger" isPending={remove.isPending} onPress={() => remove.mutate()}>
          <Trans>Delete</Trans>
        </Button>
        <Button className="button" onPress={done}>
          <Trans>Close</Trans>
        </Button>
      </div>
    </>
  );
}
