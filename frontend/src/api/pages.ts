import type { InfiniteData } from "@tanstack/react-query";
import type { Page } from "./types";

export function withCursor(path: string, cursor: string, limit: number): string {
  const query = new URLSearchParams({ limit: String(limit) });
  if (cursor) query.set("cursor", cursor);
  return `${path}${path.includes("?") ? "&" : "?"}${query}`;
}

/** "34", or "100+" where there are more than one page holds; empty for none. */
export const countOf = (page: Page<unknown>): string =>
  page.results.length > 0 ? `${page.results.length}${page.next === null ? "" : "+"}` : "";

interface Row {
  id: string;
  created_at: string;
}

/** Lists are newest first; ids break a tie, because they carry their time. */
const isOlder = (row: Row, than: Row): boolean => {
  const apart = Date.parse(row.created_at) - Date.parse(than.created_at);
  return apart === 0 ? row.id < than.id : apart < 0;
};

/**
 * A list with its first page read again. What is older than the fresh page stays as it was loaded; what should be on
 * the fresh page and is not has left the list. Where the fresh page does not reach what was loaded, something may be
 * missing between them, and the list starts over from it.
 */
export function withFreshFirstPage<T extends Row>(
  list: InfiniteData<Page<T>, string>,
  fresh: Page<T>,
): InfiniteData<Page<T>, string> {
  const start = { pages: [fresh], pageParams: list.pageParams.slice(0, 1) };
  const last = fresh.results[fresh.results.length - 1];
  const [first, ...others] = list.pages;
  if (!last || !first || fresh.next === null) return start;
  const loaded = new Set(list.pages.flatMap((page) => page.results.map((row) => row.id)));
  if (!fresh.results.some((row) => loaded.has(row.id))) return start;
  const older = (page: Page<T>): Page<T> => ({
    ...page,
    results: page.results.filter((row) => isOlder(row, last)),
  });
  const kept = older(first);
  const joined = { results: [...fresh.results, ...kept.results], next: first.next };
  return { pages: [joined, ...others.map(older)], pageParams: list.pageParams };
}
