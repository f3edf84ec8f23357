import { type InfiniteData, InfiniteQueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fetchJobs, refreshJobLists } from "../api/jobs";
import { keys } from "../api/keys";
import type { Job, Page } from "../api/types";
import { Caches } from "./caches";

const page = (id: string) => ({ results: [{ id, created_at: "2026-01-01T00:00:00Z" } as Job], next: null });
const pages = (id: string) => ({ pages: [page(id)], pageParams: [""] });
const answers: ((body: unknown) => void)[] = [];

beforeEach(() => {
  vi.stubGlobal("document", { cookie: "" });
  vi.stubGlobal(
    "fetch",
    () => new Promise((answer) => answers.push((body) => answer(new Response(JSON.stringify(body))))),
  );
});
afterEach(() => {
  answers.splice(0);
  vi.unstubAllGlobals();
});

describe("what was read of the studio", () => {
  it("is nobody else's, and of no other workspace", () => {
    const caches = new Caches();
    caches.of("u1", "w1").setQueryData(keys.brands, "brands of w1");
    expect(caches.of("u1", "w2").getQueryData(keys.brands)).toBeUndefined();
    expect(caches.of("u2", "w1").getQueryData(keys.brands)).toBeUndefined();
    expect(caches.of("u1", "w1").getQueryData(keys.brands)).toBe("brands of w1");
  });

  it("is forgotten together", () => {
    const caches = new Caches();
    caches.of("u1", "w1").setQueryData(keys.brands, "brands of w1");
    caches.forget();
    expect(caches.of("u1", "w1").getQueryData(keys.brands)).toBeUndefined();
  });

  it("may come late, when its workspace was left, and changes nothing in the next", async () => {
    const caches = new Caches();
    const left = caches.of("u1", "w1");
    const next = caches.of("u1", "w2");
    left.setQueryData(keys.jobList(""), pages("job of w1"));
    next.setQueryData(keys.jobList(""), pages("job of w2"));
    const leave = [left, next].map((cache) =>
      new InfiniteQueryObserver(cache, {
        queryKey: keys.jobList(""),
        queryFn: ({ pageParam }) => fetchJobs("", pageParam),
        initialPageParam: "",
        getNextPageParam: (last: Page<Job>) => last.next,
        staleTime: 60_000,
      }).subscribe(() => {}),
    );
    const refreshed = refreshJobLists(left);
    await vi.waitFor(() => expect(answers).toHaveLength(1));
    answers[0]?.(page("newer job of w1"));
    await refreshed;
    const shown = next.getQueryData<InfiniteData<Page<Job>>>(keys.jobList(""));
    expect(shown?.pages[0]?.results.map((job) => job.id)).toEqual(["job of w2"]);
    for (const stop of leave) stop();
  });
});
