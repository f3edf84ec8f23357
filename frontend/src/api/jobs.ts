import type { InfiniteData, QueryClient } from "@tanstack/react-query";
import { request } from "./client";
import { keys } from "./keys";
import { withCursor, withFreshFirstPage } from "./pages";
import type { Job, Page } from "./types";

type JobPages = InfiniteData<Page<Job>, string>;

/** `filter` is a query string of GET /jobs, for example "state=failed". */
export const fetchJobs = (filter: string, cursor = "", limit = 24): Promise<Page<Job>> =>
  request("GET", withCursor(`/jobs?${filter}`, cursor, limit));

/**
 * Reads the first page of every list that is on the screen again: one request each, however far it was scrolled.
 * False when a list could not be had.
 */
export async function refreshJobLists(
  cache: QueryClient,
  which: (filter: string) => boolean = () => true,
): Promise<boolean> {
  await cache.invalidateQueries({ queryKey: keys.jobLists, refetchType: "none" });
  const shown = cache.getQueryCache().findAll({ queryKey: keys.jobLists, type: "active" });
  const filters = shown.map((query) => String(query.queryKey[2])).filter(which);
  const read = await Promise.all(
    filters.map(async (filter) => {
      const fresh = await fetchJobs(filter).catch(() => null);
      if (!fresh) return false;
      cache.setQueryData<JobPages>(keys.jobList(filter), (list) => list && withFreshFirstPage(list, fresh));
      return true;
    }),
  );
  return read.every(Boolean);
}

/** Changes one job wherever the cache holds it: its own entry and every list. */
export function updateJob(cache: QueryClient, id: string, change: (job: Job) => Job): void {
  cache.setQueryData<Job>(keys.job(id), (job) => (job ? change(job) : job));
  cache.setQueriesData<JobPages>({ queryKey: keys.jobLists }, (data) => {
    if (!data?.pages.some((page) => page.results.some((job) => job.id === id))) return data;
    const pages = data.pages.map((page) => ({
      ...page,
      results: page.results.map((job) => (job.id === id ? change(job) : job)),
    }));
    return { ...data, pages };
  });
}

export function putJob(cache: QueryClient, job: Job): void {
  cache.setQueryData(keys.job(job.id), job);
  updateJob(cache, job.id, () => job);
}

/** Every job the cache knows, or of those on the screen, without repeats. */
export function knownJobs(cache: QueryClient, type: "all" | "active" = "all"): Job[] {
  const found = new Map<string, Job>();
  for (const [, data] of cache.getQueriesData<JobPages>({ queryKey: keys.jobLists, type })) {
    for (const page of data?.pages ?? []) for (const job of page.results) found.set(job.id, job);
  }
  for (const [, job] of cache.getQueriesData<Job>({ queryKey: keys.oneJob, type })) {
    if (job) found.set(job.id, job);
  }
  return [...found.values()];
}
