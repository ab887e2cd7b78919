/** The command palette: every page, every shortcut of the page that is open, and workflows by name. */
import { Trans, useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Autocomplete, Input, Menu, MenuItem, SearchField, useFilter } from "react-aria-components";
import { useLocation } from "wouter";

import { api, data } from "../api/client";
import { ModalDialog } from "./dialog";
import { useShortcutGroups } from "./shortcuts";

interface Entry {
  id: string;
  label: string;
  kind: string;
  run: () => void;
}

export function Palette({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const { t } = useLingui();
  return (
    <ModalDialog title={t`Go to or do`} isOpen={isOpen} onClose={onClose} className="palette">
      <Entries onClose={onClose} />
    </ModalDialog>
  );
}

function Entries({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const [, go] = useLocation();
  const groups = useShortcutGroups();
  const { contains } = useFilter({ sensitivity: "base" });
  const [text, setText] = useState("");
  const workflows = useQuery({
    queryKey: ["workflows", "palette", text],
    queryFn: () => data(api.GET("/api/v1/workflows", { params: { query: { limit: 20, name: text || undefined } } })),
    placeholderData: (before) => before,
  });
  const entries: Entry[] = [
    ...groups.flatMap((group) =>
      group.shortcuts.map((one) => ({ id: `${group.title} ${one.keys}`, label: one.label, kind: group.title, run: one.run })),
    ),
    ...(workflows.data?.data ?? []).map((one) => ({
      id: `workflow ${one.id}`,
      label: one.name,
      kind: t`Workflow`,
      run: () => go(`/workflows/${encodeURIComponent(one.id)}`),
    })),
  ];
  return (
    <Autocomplete filter={contains} inputValue={text} onInputChange={setText}>
      <SearchField aria-label={t`Go to or do`} autoFocus>
        <Input placeholder={t`Page, command or workflow`} />
      </SearchField>
      <Menu
        aria-label={t`What was found`}
        items={entries}
        onAction={(id) => {
          onClose();
          setTimeout(() => entries.find((one) => one.id === id)?.run());
        }}
        renderEmptyState={() => (
          <p className="soft">
            <Trans>Nothing of this name</Trans>
          </p>
        )}
      >
        {(entry) => (
          <MenuItem id={entry.id} textValue={entry.label}>
            <span>{entry.label}</span>
            <span className="soft">{entry.kind}</span>
          </MenuItem>
        )}
      </Menu>
    </Autocomplete>
  );
}
