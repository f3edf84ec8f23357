import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { ApiError, inWorkspace, request, SESSION } from "./client";
import { fetchJobs, putJob, refreshJobLists } from "./jobs";
import { keys } from "./keys";
import { countOf, withCursor } from "./pages";
import type { Asset, Framing, Job, Model, Page, Session, Settings } from "./types";

/** Who is signed in; null for nobody, which is an answer like any other and not a failure to get one. */
export const fetchSession = (): Promise<Session | null> =>
  request<Session>("GET", SESSION).catch((error) => {
    if (error instanceof ApiError && [401, 403].includes(error.status)) return null;
    throw error;
  });

/** While nobody is, each look at the page asks again: a sign-in link may have been opened beside it. */
export const useSession = () =>
  useQuery({
    queryKey: keys.session,
    queryFn: fetchSession,
    staleTime: (query) => (query.state.data === null ? 0 : 300_000),
  });

export const useModels = () =>
  useQuery({
    queryKey: keys.models,
    queryFn: () => request<{ results: Model[] }>("GET", "/models").then((page) => page.results),
    staleTime: 300_000,
  });

/** Signed addresses live 45 minutes at least: asked again this often, those on the page are always good. */
export const ADDRESSES_MS = 20 * 60 * 1000;

const cursorPage = { initialPageParam: "", getNextPageParam: (page: { next: string | null }) => page.next };

/** `filter` is a query string of GET /jobs, for example "state=failed". */
export const useJobs = (filter: string) =>
  useInfiniteQuery({
    queryKey: keys.jobList(filter),
    queryFn: ({ pageParam }) => fetchJobs(filter, pageParam),
    refetchInterval: ADDRESSES_MS,
    ...cursorPage,
  });

/** How many jobs of this filter wait or run: a list holds only the pages that were looked at. */
export const useActiveCount = (filter: string) =>
  useQuery({ queryKey: keys.activeJobs, queryFn: () => fetchJobs(filter, "", 100), select: countOf });

export const useJob = (id: string) =>
  useQuery({
    queryKey: keys.job(id),
    queryFn: () => request<Job>("GET", `/jobs/${id}`),
    refetchInterval: ADDRESSES_MS,
  });

export const useAssets = () =>
  useInfiniteQuery({
    queryKey: keys.assetList,
    queryFn: ({ pageParam }) => request<Page<Asset>>("GET", withCursor("/assets?kind=image", pageParam, 48)),
    refetchInterval: ADDRESSES_MS,
    ...cursorPage,
  });

/** One photo; asked again every 400 ms while its automatic mask is being made. */
export const useAsset = (id: string | null) =>
  useQuery({
    queryKey: keys.asset(id ?? ""),
    queryFn: () => request<Asset>("GET", `/assets/${id}`),
    enabled: id !== null,
    refetchInterval: (query) => (query.state.data?.mask?.state === "pending" ? 400 : ADDRESSES_MS),
  });

export const fetchFraming = (settings: Settings, signal: AbortSignal) => {
  const { asset_id, ...rest } = settings;
  return request<Framing>("POST", "/framings", { body: { asset_id, settings: rest }, signal });
};

export interface NewJob {
  kind: string;
  settings: Settings;
  /** Names this attempt, so that a repeated click or a retried request makes one job. */
  attempt: string;
}

export const useCreateJob = () => {
  const cache = useQueryClient();
  return useMutation({
    mutationFn: ({ kind, settings, attempt }: NewJob) =>
      request<Job>("POST", "/jobs", { body: { kind, settings }, headers: { "Idempotency-Key": attempt } }),
    onSuccess: (job) => {
      cache.setQueryData(keys.job(job.id), job);
      void refreshJobLists(cache);
    },
  });
};

export const useCancelJob = () => {
  const cache = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => request<Job>("POST", `/jobs/${id}/cancel`),
    onSuccess: (job) => putJob(cache, job),
  });
};

export const useDeleteAsset = () => {
  const cache = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => request<void>("DELETE", `/assets/${id}`),
    onSuccess: (_, id) => {
      cache.removeQueries({ queryKey: keys.asset(id) });
      return cache.invalidateQueries({ queryKey: keys.assetList });
    },
  });
};

export const saveMask = (workspace: string, id: string, png: Blob) =>
  request<Asset>("PUT", `/assets/${id}/mask`, { blob: png, headers: inWorkspace(workspace) });
export const automaticMask = (workspace: string, id: string) =>
  request<Asset>("DELETE", `/assets/${id}/mask`, { headers: inWorkspace(workspace) });
