/** The language of the console: the catalogue, and two pseudo-locales made of it that show what is not in it. */
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

export const LOCALES = { en: "English", "en-XA": "⟦Ƥşḗŭḓǿ⟧", "en-XB": "⟦ɭɟǝ˥⟧" } as const;
export type Locale = keyof typeof LOCALES;

/** The locale that `?locale=` names, else English; pseudo-locales are for tests and translators. */
export function startLocale(): void {
  const wanted = new URLSearchParams(location.search).get("locale") ?? sessionStorage.getItem("locale") ?? "en";
  const locale: Locale = wanted in LOCALES ? (wanted as Locale) : "en";
  if (locale === "en") sessionStorage.removeItem("locale");
  else sessionStorage.setItem("locale", locale);
  i18n.load(locale, locale === "en" ? english : pseudoCatalogue(english));
  i18n.activate(locale);
  document.documentElement.lang = locale;
  document.documentElement.dir = locale === "en-XB" ? "rtl" : "ltr";
}

export { i18n };
