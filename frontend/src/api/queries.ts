import {
  type InfiniteData,
  type QueryClient,
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { request } from "./client";
import type { Asset, Framing, Job, Model, Page, Session, Settings } from "./types";

export const keys = {
  session: ["session"] as const,
  models: ["models"] as const,
  jobs: ["jobs"] as const,
  jobList: (filter: string) => ["jobs", "list", filter] as const,
  job: (id: string) => ["jobs", "one", id] as const,
  assets: ["assets"] as const,
  assetList: ["assets", "list"] as const,
  asset: (id: string) => ["assets", "one", id] as const,
};

export const useSession = () =>
  useQuery({
    queryKey: keys.session,
    queryFn: () => request<Session>("GET", "/session"),
    staleTime: 300_000,
  });

export const useModels = () =>
  useQuery({
    queryKey: keys.models,
    queryFn: () => request<{ results: Model[] }>("GET", "/models").then((page) => page.results),
    staleTime: 300_000,
  });

const cursorPage = { initialPageParam: "", getNextPageParam: (page: { next: string | null }) => page.next };

function withCursor(path: string, cursor: string, limit: number): string {
  const query = new URLSearchParams({ limit: String(limit) });
  if (cursor) query.set("cursor", cursor);
  return `${path}${path.includes("?") ? "&" : "?"}${query}`;
}

/** `filter` is a query string of GET /jobs, for example "state=failed". */
export const useJobs = (filter: string) =>
  useInfiniteQuery({
    queryKey: keys.jobList(filter),
    queryFn: ({ pageParam }) => request<Page<Job>>("GET", withCursor(`/jobs?${filter}`, pageParam, 24)),
    ...cursorPage,
  });

export const useJob = (id: string) =>
  useQuery({ queryKey: keys.job(id), queryFn: () => request<Job>("GET", `/jobs/${id}`) });

export const useAssets = () =>
  useInfiniteQuery({
    queryKey: keys.assetList,
    queryFn: ({ pageParam }) => request<Page<Asset>>("GET", withCursor("/assets?kind=image", pageParam, 48)),
    ...cursorPage,
  });

/** One photo; asked again every 400 ms while its automatic mask is being made. */
export const useAsset = (id: string | null) =>
  useQuery({
    queryKey: keys.asset(id ?? ""),
    queryFn: () => request<Asset>("GET", `/assets/${id}`),
    enabled: id !== null,
    refetchInterval: (query) => (query.state.data?.mask?.state === "pending" ? 400 : false),
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
      return cache.invalidateQueries({ queryKey: ["jobs", "list"] });
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
    onSuccess: () => cache.invalidateQueries({ queryKey: keys.assetList }),
  });
};

export const saveMask = (id: string, png: Blob) => request<Asset>("PUT", `/assets/${id}/mask`, { blob: png });
export const automaticMask = (id: string) => request<Asset>("DELETE", `/assets/${id}/mask`);

type JobPages = InfiniteData<Page<Job>>;

/** Changes one job wherever the cache holds it: its own entry and every list. */
export function updateJob(cache: QueryClient, id: string, change: (job: Job) => Job): void {
  cache.setQueryData<Job>(keys.job(id), (job) => (job ? change(job) : job));
  cache.setQueriesData<JobPages>({ queryKey: ["jobs", "list"] }, (data) => {
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

/** Every job the cache knows, without repeats. */
export function knownJobs(cache: QueryClient): Job[] {
  const found = new Map<string, Job>();
  for (const [, data] of cache.getQueriesData<JobPages>({ queryKey: ["jobs", "list"] })) {
    for (const page of data?.pages ?? []) for (const job of page.results) found.set(job.id, job);
  }
  for (const [, job] of cache.getQueriesData<Job>({ queryKey: ["jobs", "one"] })) {
    if (job) found.set(job.id, job);
  }
  return [...found.values()];
}
