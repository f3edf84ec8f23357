import { InfiniteQueryObserver, QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fetchJobs, knownJobs } from "../api/jobs";
import { keys } from "../api/keys";
import type { Job, JobEvent } from "../api/types";
import { generationFilter } from "../kinds";
import { FeedSync } from "./sync";

const job = (number: number, change: Partial<Job> = {}): Job =>
  ({
    id: `job-${String(number).padStart(4, "0")}`,
    kind: "image_to_video",
    state: "succeeded",
    settings: { asset_id: "a" },
    notices: [],
    queue: null,
    eta_seconds: null,
    created_at: new Date(Date.UTC(2026, 0, 1) + number * 1000).toISOString(),
    ...change,
  }) as Job;

/** The studio's jobs, newest first, in pages of 24 by their place. */
let stored: Job[] = [];
const asked: string[] = [];
const said: { type: string; jobs?: unknown }[] = [];

function studio(url: string): Response {
  asked.push(url);
  const { pathname, searchParams } = new URL(url, "http://studio");
  const id = pathname.split("/")[4];
  if (id) return new Response(JSON.stringify(stored.find((one) => one.id === id)));
  const state = searchParams.get("state");
  const rows = stored.filter((one) => one.kind === "image_to_video" && (!state || state.includes(one.state)));
  const start = Number(searchParams.get("cursor") ?? 0);
  const end = start + Number(searchParams.get("limit"));
  const next = end < rows.length ? String(end) : null;
  return new Response(JSON.stringify({ results: rows.slice(start, end), next }));
}

const cache = new QueryClient({ defaultOptions: { queries: { retry: false, staleTime: 60_000 } } });
const leaving: (() => void)[] = [];
let sync: FeedSync;

function showList(filter: string) {
  const observer = new InfiniteQueryObserver(cache, {
    queryKey: keys.jobList(filter),
    queryFn: ({ pageParam }) => fetchJobs(filter, pageParam),
    initialPageParam: "",
    getNextPageParam: (page: { next: string | null }) => page.next,
  });
  leaving.push(observer.subscribe(() => {}));
  return observer;
}

const settle = () => vi.advanceTimersByTimeAsync(3_000);
const changed = (id: string, state: Job["state"], kind?: string) =>
  sync.receive({ type: "job_changed", job_id: id, state, kind });

beforeEach(async () => {
  vi.useFakeTimers();
  vi.stubGlobal("document", { cookie: "" });
  vi.stubGlobal("fetch", async (url: string) => studio(url));
  stored = Array.from({ length: 100 }, (_, at) => job(100 - at));
  said.length = 0;
  sync = new FeedSync(cache, (message) => said.push(message as (typeof said)[number]));
  const all = showList(generationFilter());
  await settle();
  for (const _ of [2, 3, 4]) await all.fetchNextPage();
  asked.length = 0;
});

afterEach(() => {
  for (const leave of leaving.splice(0)) leave();
  sync.stop();
  cache.clear();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("what the feed makes the page ask again", () => {
  it("is one page for a new job, however far the list was scrolled", async () => {
    stored.unshift(job(101, { state: "queued", queue: { position: 1 } }));
    changed("job-0101", "queued");
    changed("job-0101", "running");
    await settle();
    expect(asked.filter((url) => !url.includes("state="))).toHaveLength(1);
    expect(knownJobs(cache)).toHaveLength(97);
  });

  it("is nothing more for a chore that no list has, once that is known", async () => {
    for (const state of ["queued", "running", "succeeded"] as const) {
      changed("mask-1", state);
      await settle();
    }
    expect(asked).toHaveLength(1);
  });

  it("is nothing at all for a chore that is told as one", async () => {
    changed("mask-2", "queued", "product_mask");
    await settle();
    expect(asked).toEqual([]);
  });

  it("is the list of one state when a job came to it, and no other", async () => {
    showList(generationFilter("succeeded"));
    await settle();
    asked.length = 0;
    stored[0] = job(100, { state: "failed" });
    changed("job-0100", "failed");
    await settle();
    expect(asked).toHaveLength(1);
    expect(asked[0]).toContain("state=succeeded");
  });

  it("is the places of the waiting jobs when the queue moved, in one request for many messages", async () => {
    stored.unshift(job(101, { state: "queued", queue: { position: 7 } }));
    changed("job-0101", "queued");
    await settle();
    asked.length = 0;
    stored[0] = job(101, { state: "queued", queue: { position: 2 } });
    for (let time = 0; time < 20; time += 1) sync.receive({ type: "queue_moved", queue: "engine" });
    await settle();
    expect(asked).toHaveLength(1);
    expect(knownJobs(cache).find((one) => one.id === "job-0101")?.queue?.position).toBe(2);
  });

  it("is nothing when the queue moved and none of the shown jobs waits", async () => {
    sync.receive({ type: "queue_moved", queue: "engine" });
    await settle();
    expect(asked).toEqual([]);
  });

  it("does not put a job back into the queue that has started meanwhile", async () => {
    stored.unshift(job(101, { state: "queued", queue: { position: 1 } }));
    const one = new QueryObserver(cache, {
      queryKey: keys.job("job-0101"),
      queryFn: () => stored[0] as Job,
    });
    leaving.push(one.subscribe(() => {}));
    await settle();
    sync.receive({ type: "queue_moved", queue: "engine" });
    cache.setQueryData(keys.job("job-0101"), job(101, { state: "running" }));
    await settle();
    expect(one.getCurrentResult().data).toMatchObject({ state: "running", queue: null });
  });
});

describe("what the feed is asked to watch", () => {
  const one = "job-0101";
  const event = (seq: number, type: string) =>
    ({ seq, type, data: {}, created_at: "2026-01-01T00:00:00Z" }) as JobEvent;
  const begin = async () => {
    stored.unshift(job(101, { state: "queued" }));
    changed(one, "queued");
    await settle();
    sync.watchActive();
  };
  const watches = () => said.filter((message) => message.type === "watch");

  it("is given back when the job has ended, so that the next may be watched", async () => {
    await begin();
    expect(watches()).toEqual([{ type: "watch", jobs: { [one]: 0 } }]);
    sync.receive({ type: "events", job_id: one, events: [event(1, "queued"), event(2, "canceled")] });
    expect(said.at(-1)).toEqual({ type: "unwatch", jobs: [one] });
  });

  it("may be refused: then the job is read over REST when it stands otherwise, and watched when there is room", async () => {
    await begin();
    sync.receive({ type: "error", code: "too_many_jobs", detail: "Too many.", jobs: [one] });
    await settle();
    asked.length = 0;
    sync.watchActive();
    expect(watches()).toHaveLength(1);
    stored[0] = job(101, { state: "running" });
    changed(one, "running");
    await settle();
    stored[0] = job(101, { state: "succeeded" });
    changed(one, "succeeded");
    await settle();
    expect(asked.filter((url) => url.endsWith(one))).toHaveLength(2);
    expect(knownJobs(cache).find((known) => known.id === one)?.state).toBe("succeeded");
  });

  it("is what had no room before, once another job has ended", async () => {
    await begin();
    stored.unshift(job(102, { state: "queued" }));
    changed("job-0102", "queued");
    await settle();
    sync.watchActive();
    sync.receive({ type: "error", code: "too_many_jobs", detail: "Too many.", jobs: ["job-0102"] });
    sync.receive({ type: "events", job_id: one, events: [event(1, "queued"), event(2, "canceled")] });
    expect(watches().at(-1)).toEqual({ type: "watch", jobs: { "job-0102": 0 } });
  });
});

describe("jobs that are many, or long over", () => {
  const event = (seq: number, type: string) =>
    ({ seq, type, data: {}, created_at: "2026-01-01T00:00:00Z" }) as JobEvent;
  const queue = async (...numbers: number[]) => {
    for (const number of numbers) stored.unshift(job(number, { state: "queued" }));
    for (const number of numbers) changed(job(number).id, "queued");
    await settle();
    sync.watchActive();
  };
  const refuse = (...jobs: string[]) =>
    sync.receive({ type: "error", code: "too_many_jobs", detail: "Too many.", jobs });
  const reads = (id: string) => asked.filter((url) => url.endsWith(id)).length;

  it("are read once when the feed refuses them, however often others end", async () => {
    await queue(101, 102, 103, 104);
    refuse("job-0102", "job-0103", "job-0104");
    await settle();
    expect(reads("job-0104")).toBe(1);
    sync.receive({ type: "events", job_id: "job-0101", events: [event(1, "queued"), event(2, "canceled")] });
    refuse("job-0103", "job-0104");
    await settle();
    expect([reads("job-0103"), reads("job-0104")]).toEqual([1, 1]);
    // Told of between the question and the refusal: that is worth a look.
    sync.receive({ type: "events", job_id: "job-0102", events: [event(1, "queued"), event(2, "canceled")] });
    stored = stored.map((one) => (one.id === "job-0104" ? job(104, { state: "running" }) : one));
    changed("job-0104", "running");
    refuse("job-0104");
    await settle();
    expect(reads("job-0104")).toBe(2);
    expect(knownJobs(cache).find((one) => one.id === "job-0104")?.state).toBe("running");
  });

  it("are watched no more when only the end of their log is left", async () => {
    await queue(101);
    const left = [event(40, "progress"), event(41, "failed")];
    sync.receive({ type: "events", job_id: "job-0101", events: left });
    expect(said.at(-1)).toEqual({ type: "watch", jobs: { "job-0101": 0 } });
    stored[0] = job(101, { state: "failed" });
    sync.receive({ type: "events", job_id: "job-0101", events: left });
    expect(said.at(-1)).toEqual({ type: "unwatch", jobs: ["job-0101"] });
    await settle();
    expect(knownJobs(cache).find((one) => one.id === "job-0101")?.state).toBe("failed");
    said.length = 0;
    sync.opened();
    expect(said).toEqual([{ type: "watch_workspace" }]);
  });
});

describe("the count of the videos in progress", () => {
  it("is asked again when one comes or ends, and not at each step between", async () => {
    const read = vi.fn(async () => stored.length);
    const counted = new QueryObserver(cache, { queryKey: keys.activeJobs, queryFn: read });
    leaving.push(counted.subscribe(() => {}));
    await settle();
    stored.unshift(job(101, { state: "queued" }));
    changed("job-0101", "queued");
    await settle();
    expect(read).toHaveBeenCalledTimes(2);
    changed("job-0101", "running");
    await settle();
    expect(read).toHaveBeenCalledTimes(2);
    changed("job-0101", "succeeded");
    await settle();
    expect(read).toHaveBeenCalledTimes(3);
  });
});

describe("a connection that is back", () => {
  it("reads again whatever could not be read while it was away", async () => {
    let answers = false;
    const read = vi.fn(() => (answers ? Promise.resolve("brands") : Promise.reject(new Error("offline"))));
    const brands = new QueryObserver(cache, { queryKey: keys.brands, queryFn: read });
    leaving.push(brands.subscribe(() => {}));
    await settle();
    expect(brands.getCurrentResult().isError).toBe(true);
    answers = true;
    sync.opened();
    await settle();
    expect(brands.getCurrentResult().data).toBe("brands");
  });
});
