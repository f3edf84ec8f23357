import type { QueryClient } from "@tanstack/react-query";
import { keys } from "../api/keys";
import type { Session } from "../api/types";
import { remember, remembered } from "./memory";

/**
 * Something was refused as if nobody were signed in, or somebody with another role: ask once who is. Many refusals at a time ask one question, and
 * while the page already knows that nobody is, there is nothing to ask.
 */
export function checkSession(cache: QueryClient): void {
  const session = cache.getQueryState(keys.session);
  if (!session?.data || session.fetchStatus === "fetching") return;
  void cache.invalidateQueries({ queryKey: keys.session });
}

const STORE = "aquarius.workspace";

export const wishedWorkspace = (): string | null => remembered(STORE);
export const wishForWorkspace = (id: string): void => remember(STORE, id);

/** The workspace that was chosen here last, as long as its member still is one; otherwise the studio's choice. */
export function workspaceOf(session: Session, wished: string | null): string | null {
  return session.workspaces.some((one) => one.id === wished) ? wished : session.workspace;
}
