/** The shell: who is signed in, the navigation, the pages, and what is there on all of them. */
import { Trans, useLingui } from "@lingui/react/macro";
import { I18nProvider, useLingui as useRuntimeLingui } from "@lingui/react";
import { QueryClient, QueryClientProvider, onlineManager, useIsFetching, useQueryClient } from "@tanstack/react-query";
import { Component, Suspense, useEffect, useState, useSyncExternalStore, type ReactNode } from "react";
import { Button, I18nProvider as AriaI18nProvider, RouterProvider } from "react-aria-components";
import { Link, Route, Router, Switch, useLocation } from "wouter";

import { BASE_PATH, Problem, onSessionEnd } from "./api/client";
import { useSession, useSignOut, type Session } from "./api/session";
import { LANGUAGES, i18n, setLanguage, type Language } from "./i18n";
import { SignIn } from "./pages/sign-in";
import { ROUTES, loadAllPages } from "./routes";
import { Palette } from "./ui/palette";
import { Page } from "./ui/page";
import { ShortcutDrawer, useShortcutKeys, useShortcuts } from "./ui/shortcuts";
import { Failed, Loading } from "./ui/states";
import { setTheme, useTheme, type Theme } from "./ui/theme";
import { intlLocale } from "./ui/time";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      retry: (count, error) => count < 2 && error instanceof Problem && (error.status === 0 || error.status >= 500),
      networkMode: "always", // the server may be on this machine
    },
    mutations: { networkMode: "always" },
  },
});

export function App() {
  return (
    <I18nProvider i18n={i18n}>
      <QueryClientProvider client={queries}>
        <Router base={BASE_PATH}>
          <Routed>
            <Crash>
              <Gate />
            </Crash>
          </Routed>
        </Router>
      </QueryClientProvider>
    </I18nProvider>
  );
}

/** Links of react-aria are followed by the router. */
function Routed({ children }: { children: ReactNode }) {
  const [, go] = useLocation();
  const { i18n: active } = useRuntimeLingui();
  return (
    <AriaI18nProvider locale={intlLocale(active.locale)}>
      <RouterProvider navigate={go} useHref={(href) => BASE_PATH + href}>
        {children}
      </RouterProvider>
    </AriaI18nProvider>
  );
}

/** A mistake of ours in a page does not take the rest away. */
class Crash extends Component<{ children: ReactNode }, { error: unknown }> {
  override state = { error: undefined as unknown };
  static getDerivedStateFromError(error: unknown) {
    return { error };
  }
  override render() {
    if (this.state.error === undefined) return this.props.children;
    // a page that could not be loaded, perhaps since the server has a newer console, is only had by loading anew
    const { error } = this.state;
    const again = () => (error instanceof TypeError && error.message.includes("import") ? location.reload() : this.setState({ error: undefined }));
    return <Failed error={error} retry={again} />;
  }
}

/** Signing in comes before everything else; a session that ends later asks on top of the page, which stays. */
function Gate() {
  const session = useSession();
  const client = useQueryClient();
  const [ended, setEnded] = useState(false);
  useEffect(() => onSessionEnd(() => setEnded(true)), []);
  useEffect(() => setEnded(false), [session.dataUpdatedAt]);
  if (session.data === undefined) {
    if (session.isPending) {
      return (
        <main className="main" id="main">
          <Loading />
        </main>
      );
    }
    const problem = session.error;
    if (problem instanceof Problem && problem.status !== 401) {
      return <Failed error={problem} retry={() => void client.invalidateQueries({ queryKey: ["session"] })} />;
    }
    const byLink = problem instanceof Problem && problem.message.includes("not known") ? problem : undefined;
    return <SignIn error={byLink} />;
  }
  if (ended) return <SignIn ended />;
  return <Shell session={session.data} />;
}

function Shell({ session }: { session: Session }) {
  const { t } = useLingui();
  const { _ } = useRuntimeLingui();
  const [path, go] = useLocation();
  const [help, setHelp] = useState(false);
  const [palette, setPalette] = useState(false);
  useShortcutKeys();
  useEffect(() => {
    const timer = setTimeout(loadAllPages, 500);
    return () => clearTimeout(timer);
  }, []);
  useShortcuts(t`Everywhere`, [
    { keys: "?", label: t`Show keyboard shortcuts`, run: () => setHelp(true) },
    { keys: "mod+k", label: t`Go to or do`, run: () => setPalette(true) },
    ...ROUTES.filter((route) => route.title && route.key).map((route) => ({
      keys: `g ${route.key}`,
      label: t`Go to ${_(route.title!)}`,
      run: () => go(route.path),
    })),
    { keys: "g f", label: t`Go to the first steps`, run: () => go("/welcome") },
  ]);
  const toMain = () => document.getElementById("main")?.focus();
  return (
    <div className="shell">
      <button type="button" className="button skip" onClick={toMain}>
        <Trans>Skip to the page</Trans>
      </button>
      <header className="side">
        <div className="brand">
          <img src="favicon.svg" alt="" /> AIC Flow
        </div>
        <nav className="nav" aria-label={t`Pages`}>
          <ul>
            {ROUTES.filter((route) => route.title).map((route) => {
              const here = path === route.path || path.startsWith(`${route.path}/`) || (path === "/" && route.path === "/workflows");
              return (
                <li key={route.path}>
                  <Link href={route.path} aria-current={here ? "page" : undefined}>
                    {_(route.title!)}
                  </Link>
                </li>
              );
            })}
          </ul>
        </nav>
        <div className="side-foot">
          <Link className="button small" href="/welcome" aria-current={path === "/welcome" ? "page" : undefined}>
            <Trans>First steps</Trans>
          </Link>
          <ThemeChoice />
          <LanguageChoice />
          <Button className="button small" onPress={() => setPalette(true)}>
            <Trans>Go to…</Trans>
          </Button>
          <Button className="button small" onPress={() => setHelp(true)}>
            <Trans>Shortcuts</Trans>
          </Button>
          <div className="who soft">
            <Trans>
              Key <b>{session.name}</b>
            </Trans>
          </div>
          <SignOut />
        </div>
      </header>
      <div>
        <Connection />
        <Crash key={path}>
          <Suspense
            fallback={
              <main className="main" id="main">
                <Loading />
              </main>
            }
          >
            <Switch>
              {ROUTES.map((route) => (
                <Route key={route.path} path={route.path}>
                  {(params) => <route.component params={params as Record<string, string>} />}
                </Route>
              ))}
              <Route>
                <Page title={t`Not found`}>
                  <Failed error={new Problem(404, { detail: path })} />
                </Page>
              </Route>
            </Switch>
          </Suspense>
        </Crash>
      </div>
      <ShortcutDrawer isOpen={help} onClose={() => setHelp(false)} />
      <Palette isOpen={palette} onClose={() => setPalette(false)} />
    </div>
  );
}

function SignOut() {
  const signOut = useSignOut();
  return (
    <Button className="button small" onPress={() => void signOut()}>
      <Trans>Sign out</Trans>
    </Button>
  );
}

function ThemeChoice() {
  const { t } = useLingui();
  const chosen = useTheme();
  return (
    <div className="field">
      <select aria-label={t`Theme`} value={chosen} onChange={(event) => setTheme(event.target.value as Theme)}>
        <option value="system">{t`System theme`}</option>
        <option value="light">{t`Light theme`}</option>
        <option value="dark">{t`Dark theme`}</option>
      </select>
    </div>
  );
}

function LanguageChoice() {
  const { t, i18n: active } = useLingui();
  return (
    <div className="field" data-text>
      <select aria-label={t`Language`} value={active.locale} onChange={(event) => setLanguage(event.target.value as Language)}>
        {!(active.locale in LANGUAGES) && <option>{active.locale}</option>}
        {Object.entries(LANGUAGES).map(([language, name]) => (
          <option key={language} value={language} lang={language}>
            {name}
          </option>
        ))}
      </select>
    </div>
  );
}

/** Says when the server does not answer, and when it does again. */
function Connection() {
  const client = useQueryClient();
  useIsFetching();
  const online = useSyncExternalStore(
    (listener) => onlineManager.subscribe(listener),
    () => onlineManager.isOnline(),
  );
  const lost =
    !online ||
    client
      .getQueryCache()
      .getAll()
      .some((query) => query.isActive() && query.state.error instanceof Problem && query.state.error.code === "offline");
  return (
    <div role="status" aria-live="polite">
      {lost && (
        <div className="banner bad row">
          <Trans>The server does not answer. What is shown may be old.</Trans>
          <Button className="button small" onPress={() => void client.refetchQueries({ type: "active" })}>
            <Trans>Try again</Trans>
          </Button>
        </div>
      )}
    </div>
  );
}
