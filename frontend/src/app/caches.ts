import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "../api/client";

export const newCache = (): QueryClient =>
  new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 15_000,
        retry: (failures, error) => failures < 2 && error instanceof ApiError && error.status >= 500,
        networkMode: "always",
      },
      mutations: { networkMode: "always" },
    },
  });

/**
 * What was read of the studio, for each member and workspace apart. The names of the queries say neither, and an
 * answer may come after its workspace was left: in a cache of its own nobody takes it for another's.
 */
export class Caches {
  private readonly all = new Map<string, QueryClient>();

  /** Always the same one: what is still on its way when a workspace is left belongs to it when it is shown again. */
  of(user: string, workspace: string): QueryClient {
    const name = `${user} ${workspace}`;
    const known = this.all.get(name);
    if (known) return known;
    const made = newCache();
    this.all.set(name, made);
    return made;
  }

  /** What belongs to a member or a workspace must not wait here for the next. */
  forget(): void {
    for (const cache of this.all.values()) cache.getQueryCache().clear();
  }
}

/** One for the page. */
export const caches = new Caches();
