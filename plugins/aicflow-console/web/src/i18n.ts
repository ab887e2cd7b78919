/** The language of the console: catalogues, and two pseudo-locales made of English that show what is in none. */
import { i18n, type Messages } from "@lingui/core";
import english from "catalogue:en";

const ACCENTED = "ȧƀƈḓḗƒɠħīĵķŀḿƞǿƥɋřşŧŭṽẇẋẏż";

/** `Save {0}` → `⟦Şȧṽḗ {0}⟧`: text that is not in brackets did not come from the catalogue. */
export function pseudo(text: string): string {
  return text.replace(/<\/?\d+\/?>|[A-Za-z]/g, (found) => {
    if (found.length > 1) return found;
    const lower = ACCENTED[found.toLowerCase().charCodeAt(0) - 97] ?? found;
    return found === found.toLowerCase() ? lower : lower.toUpperCase();
  });
}

type Part = string | [string, string?, unknown?];

function pseudoParts(parts: readonly Part[]): Part[] {
  return parts.map((part) => {
    if (typeof part === "string") return pseudo(part);
    const [name, kind, choices] = part;
    if (choices === null || typeof choices !== "object") return part;
    const translated = Object.entries(choices as Record<string, unknown>).map(([choice, inner]) => [
      choice,
      Array.isArray(inner) ? pseudoParts(inner as Part[]) : typeof inner === "string" ? pseudo(inner) : inner,
    ]);
    return [name, kind, Object.fromEntries(translated)];
  });
}

function pseudoCatalogue(messages: Messages): Messages {
  const entries = Object.entries(messages).map(([id, message]) => {
    const parts = typeof message === "string" ? [message] : (message as Part[]);
    return [id, ["⟦", ...pseudoParts(parts), "⟧"]];
  });
  return Object.fromEntries(entries) as Messages;
}

/** The languages that one can choose, each by its own name. A new one is a line here and in lingui.config.ts. */
export const LANGUAGES = { en: "English", de: "Deutsch", nl: "Nederlands" } as const;
export type Language = keyof typeof LANGUAGES;

const CATALOGUES: Readonly<Record<string, () => Promise<{ default: Messages }>>> = {
  de: () => import("catalogue:de"),
  nl: () => import("catalogue:nl"),
};
const KEY = "language";

function isLanguage(text: string): text is Language {
  return text in LANGUAGES;
}

async function messagesOf(locale: string): Promise<Messages> {
  if (locale.startsWith("en-X")) return pseudoCatalogue(english);
  const load = CATALOGUES[locale];
  return load ? { ...english, ...(await load()).default } : english;
}

async function activate(locale: string): Promise<void> {
  i18n.load(locale, await messagesOf(locale));
  i18n.activate(locale);
  document.documentElement.lang = locale;
  document.documentElement.dir = locale === "en-XB" ? "rtl" : "ltr";
}

/** The language that was chosen in this browser, else the first that the browser asks for and there is. */
function language(): Language {
  const kept = localStorage.getItem(KEY) ?? "";
  if (isLanguage(kept)) return kept;
  return navigator.languages.map((one) => one.split("-")[0] ?? "").find(isLanguage) ?? "en";
}

/** Change the language, from now on in this browser. */
export function setLanguage(next: Language): void {
  localStorage.setItem(KEY, next);
  void activate(next);
}

/** The language of this visit; `?locale=` names a pseudo-locale, for tests and translators, until the window is closed. */
export async function startLocale(): Promise<void> {
  const wanted = new URLSearchParams(location.search).get("locale") ?? sessionStorage.getItem("locale") ?? "";
  const isPseudo = wanted === "en-XA" || wanted === "en-XB";
  if (isPseudo) sessionStorage.setItem("locale", wanted);
  else sessionStorage.removeItem("locale");
  await activate(isPseudo ? wanted : language()).catch(() => activate("en"));
}

export { i18n };
