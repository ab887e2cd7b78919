/** Signing in and out, and who is signed in. The key itself is kept nowhere. */
import { useQuery, useQueryClient } from "@tanstack/react-query";

import { api, data, type Schemas } from "./client";

export type Session = Schemas["Session"];
const KEY = ["session"] as const;

/** The ticket of a sign-in link: behind the `#`, which is removed at once so that no history keeps it. */
export function takeTicket(): string | null {
  const found = /^#ticket=([\w-]+)$/.exec(location.hash);
  if (found === null) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return found[1] ?? null;
}

export async function signIn(credential: string): Promise<Session> {
  const headers = { Authorization: `Bearer ${credential.trim()}` };
  return data(api.POST("/api/v1/session", { headers }));
}

let firstTicket: Promise<Session> | null | undefined;

/** Who is signed in. The first time, a ticket in the address signs in. */
export function useSession() {
  return useQuery({
    queryKey: KEY,
    queryFn: async () => {
      if (firstTicket === undefined) {
        const ticket = takeTicket();
        firstTicket = ticket === null ? null : signIn(ticket);
      }
      if (firstTicket !== null) {
        const first = firstTicket;
        firstTicket = null;
        return first;
      }
      return data(api.GET("/api/v1/session"));
    },
    retry: false,
    staleTime: Infinity,
  });
}

export function useSignIn() {
  const client = useQueryClient();
  return async (credential: string) => {
    const session = await signIn(credential);
    client.setQueryData(KEY, session);
    await client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "session" });
  };
}

export function useSignOut() {
  const client = useQueryClient();
  return async () => {
    try {
      await api.DELETE("/api/v1/session");
    } finally {
      client.clear();
      location.assign(document.baseURI);
    }
  };
}

/** Whether the session may do what needs this scope. */
export function may(session: Session | undefined, scope: "read" | "write" | "execute" | "admin"): boolean {
  return session !== undefined && (session.scopes.includes(scope) || session.scopes.includes("admin"));
}
