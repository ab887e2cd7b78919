/** Keyboard shortcuts: a page names its own with `useShortcuts`; `?` lists all that count at the moment. */
import { useLingui } from "@lingui/react/macro";
import { useEffect, useRef, useSyncExternalStore } from "react";

import { ModalDialog } from "./dialog";

export interface Shortcut {
  /** `?`, `g w` (one after the other), `mod+k` (⌘ or Ctrl). */
  keys: string;
  /** What it does, from the catalogue. */
  label: string;
  run: () => void;
}

interface Group {
  title: string;
  shortcuts: readonly Shortcut[];
}

const groups = new Map<symbol, Group>();
const listeners = new Set<() => void>();
let snapshot: readonly Group[] = [];

function changed(): void {
  snapshot = [...groups.values()];
  listeners.forEach((listener) => listener());
}

export function useShortcutGroups(): readonly Group[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => snapshot,
  );
}

/** These count while the component is there. */
export function useShortcuts(title: string, shortcuts: readonly Shortcut[]): void {
  const id = useRef(Symbol(title));
  const names = shortcuts.map((one) => one.keys + one.label).join();
  useEffect(() => {
    groups.set(id.current, { title, shortcuts });
    changed();
  });
  useEffect(() => {
    const own = id.current;
    return () => {
      groups.delete(own);
      changed();
    };
  }, [names]);
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** Listens for all of them; mounted once. */
export function useShortcutKeys(): void {
  useEffect(() => {
    let before = "";
    let timer = 0;
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.altKey || event.isComposing) return;
      const mod = event.ctrlKey || event.metaKey;
      if (!mod && (isTyping(event.target) || document.querySelector('[role="dialog"]') !== null)) return;
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const pressed = mod ? `mod+${key}` : key;
      const wanted = [`${before} ${pressed}`, pressed];
      const all = [...groups.values()].flatMap((group) => group.shortcuts);
      const found = wanted.flatMap((keys) => all.filter((one) => one.keys === keys))[0];
      clearTimeout(timer);
      before = "";
      if (found) {
        event.preventDefault();
        found.run();
      } else if (!mod) {
        before = pressed;
        timer = window.setTimeout(() => (before = ""), 1000);
      }
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

function Keys({ keys }: { keys: string }) {
  const mac = navigator.platform.startsWith("Mac");
  return (
    <>
      {keys.split(" ").map((one, at) => (
        <kbd key={at}>{one.replace("mod+", mac ? "⌘ " : "Ctrl ").toUpperCase()}</kbd>
      ))}
    </>
  );
}

export function ShortcutDrawer({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const { t } = useLingui();
  const all = useShortcutGroups();
  return (
    <ModalDialog title={t`Keyboard shortcuts`} isOpen={isOpen} onClose={onClose} drawer>
      {all
        .filter((group) => group.shortcuts.length > 0)
        .map((group) => (
          <section key={group.title} className="stack">
            <h3>{group.title}</h3>
            <dl className="facts">
              {group.shortcuts.map((one) => (
                <div key={one.keys} style={{ display: "contents" }}>
                  <dt>
                    <Keys keys={one.keys} />
                  </dt>
                  <dd>{one.label}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
    </ModalDialog>
  );
}
