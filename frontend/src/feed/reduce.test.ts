import { describe, expect, it } from "vitest";
import type { Job, JobEvent } from "../api/types";
import { applyEvents, isActive } from "./reduce";

const job = (change: Partial<Job> = {}): Job => ({
  id: "j1",
  kind: "image_to_video",
  state: "queued",
  settings: { asset_id: "a1" },
  metadata: {},
  stage: null,
  progress: 0,
  eta_seconds: null,
  queue: { position: 2 },
  attempt: 0,
  max_attempts: 3,
  cancel_requested: false,
  error: null,
  notices: [],
  preview_url: null,
  result: null,
  model: null,
  source_asset: null,
  created_at: "2026-01-01T00:00:00Z",
  started_at: null,
  finished_at: null,
  urls: { self: "", events: "", cancel: "" },
  ...change,
});

const event = (seq: number, type: JobEvent["type"], data: Record<string, unknown> = {}): JobEvent => ({
  seq,
  type,
  data,
  created_at: `2026-01-01T00:00:0${seq}Z`,
});

const run = [
  event(1, "queued"),
  event(2, "started"),
  event(3, "progress", { stage: "denoise", fraction: 0.4, step: 5, steps: 12, eta_seconds: 6 }),
  event(4, "preview", { url: "/media/p1" }),
];

describe("applyEvents", () => {
  it("follows a run to its state, stage, progress and preview", () => {
    const { job: after, seq, gap } = applyEvents({ job: job(), seq: 0 }, run);
    expect(after).toMatchObject({ state: "running", stage: "denoise", progress: 0.4, eta_seconds: 6 });
    expect(after).toMatchObject({ preview_url: "/media/p1", queue: null, started_at: run[1]?.created_at });
    expect([seq, gap]).toEqual([4, false]);
  });

  it("gives the same for events in any order within a batch", () => {
    const disordered = [run[3], run[0], run[2], run[1]] as JobEvent[];
    expect(applyEvents({ job: job(), seq: 0 }, disordered)).toEqual(applyEvents({ job: job(), seq: 0 }, run));
  });

  it("skips duplicates, so that an old progress does not come back", () => {
    const after = applyEvents({ job: job({ state: "running", progress: 0.9 }), seq: 7 }, run);
    expect(after.job.progress).toBe(0.9);
    expect(after).toMatchObject({ seq: 7, gap: false });
  });

  it("stops before a gap and tells it", () => {
    const after = applyEvents({ job: job(), seq: 0 }, [run[0], run[2], run[3]] as JobEvent[]);
    expect(after).toMatchObject({ seq: 1, gap: true });
    expect(after.job.state).toBe("queued");
  });

  it("continues after the gap was filled", () => {
    const first = applyEvents({ job: job(), seq: 0 }, [run[0], run[3]] as JobEvent[]);
    const second = applyEvents(first, run.slice(1));
    expect(second).toMatchObject({ seq: 4, gap: false });
    expect(second.job.preview_url).toBe("/media/p1");
  });

  it("starts over when a lost worker's job is queued again", () => {
    const running = applyEvents({ job: job(), seq: 0 }, run);
    const again = applyEvents(running, [event(5, "requeued", { reason: "lease expired" })]);
    expect(again.job).toMatchObject({ state: "queued", progress: 0, preview_url: null, stage: null });
  });

  it("tells of another attempt, which begins without what the one before had to say", () => {
    const notice = { code: "extended", message: "The background was extended." };
    const first = [event(1, "started", { attempt: 1, max_attempts: 3 }), event(2, "notice", notice)];
    const waiting = applyEvents({ job: job(), seq: 0 }, [...first, event(3, "requeued", { reason: "lost" })]);
    expect(waiting.job).toMatchObject({ state: "queued", attempt: 1 });
    const second = applyEvents(waiting, [event(4, "started", { attempt: 2, max_attempts: 3 })]);
    expect(second.job).toMatchObject({ state: "running", attempt: 2, notices: [] });
  });

  it("does not count an attempt that a worker gave back because it shuts down", () => {
    const after = applyEvents({ job: job(), seq: 0 }, [
      event(1, "started", { attempt: 1, max_attempts: 3 }),
      event(2, "requeued", { reason: "worker_stopped" }),
    ]);
    expect(after.job.attempt).toBe(0);
  });

  it("ends with the error as it was told", () => {
    const error = { code: "disk_full", message: "The disk is full.", retryable: true };
    const after = applyEvents({ job: job(), seq: 4 }, [event(5, "failed", error)]);
    expect(after.job).toMatchObject({ state: "failed", error, finished_at: "2026-01-01T00:00:05Z" });
    expect(isActive(after.job)).toBe(false);
  });

  it("does not show a result without its file addresses", () => {
    const short = applyEvents({ job: job(), seq: 4 }, [event(5, "succeeded", { result: { asset: "a2" } })]);
    expect(short.job).toMatchObject({ state: "succeeded", result: null, progress: 1 });
  });

  it("keeps one of two equal notices", () => {
    const notice = { code: "extended", message: "The background was extended." };
    const after = applyEvents({ job: job(), seq: 0 }, [
      event(1, "notice", notice),
      event(2, "notice", notice),
    ]);
    expect(after.job.notices).toEqual([notice]);
  });

  it("ignores event types of later versions", () => {
    const after = applyEvents({ job: job(), seq: 0 }, [event(1, "sparkled" as JobEvent["type"])]);
    expect(after).toMatchObject({ seq: 1, gap: false });
  });
});
