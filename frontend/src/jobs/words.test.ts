import { describe, expect, it } from "vitest";
import type { Job } from "../api/types";
import { facts, whole } from "../ui/format";
import { activity, advice, progressText, summary, timings, title } from "./words";

const job = (change: Partial<Job>): Job => ({ state: "queued", attempt: 0, progress: 0, ...change }) as Job;

const made = job({
  kind: "image_to_video",
  settings: { asset_id: "a", prompt: "", format: "9:16", seconds: 5, camera: { move: "auto" } },
  source_asset: { name: "fig-and-cedar.jpg" } as Job["source_asset"],
});

describe("words of a job", () => {
  it("names a video by its prompt, or else by its photo", () => {
    expect(title(made)).toBe("fig-and-cedar");
    expect(title({ ...made, settings: { ...made.settings, prompt: "Slow orbit" } })).toBe("Slow orbit");
    expect(title({ ...made, source_asset: null })).toBe("Untitled video");
  });

  it("sums up what was asked for", () => {
    expect(summary(made)).toBe(facts("9:16", "5 s", "Auto"));
  });

  it("tells the place in the queue", () => {
    expect(activity(job({ queue: { position: 1 } }))).toBe("Next in line");
    expect(activity(job({ queue: { position: 4 } }))).toBe("Number 4 in line");
    expect(activity(job({ queue: { position: 2 }, attempt: 1 }))).toBe("Number 2 in line, trying again");
    expect(activity(job({ queue: null }))).toBe("Waiting");
  });

  it("tells the stage, and that a cancel was heard", () => {
    expect(activity(job({ state: "running", stage: "denoise" }))).toBe("Creating the motion");
    expect(activity(job({ state: "running", stage: "denoise", cancel_requested: true }))).toBe("Canceling");
    expect(activity(job({ state: "canceled", cancel_requested: true }))).toBe("Canceled");
  });

  it("never says 100 % before the end", () => {
    expect(progressText(job({ state: "running", progress: 0.999 }), 0.2)).toBe(
      facts("99 %", "a moment left"),
    );
    expect(progressText(job({ state: "running", progress: 0.5 }), null)).toBe("50 %");
    expect(progressText(job({}), 3)).toBe("");
  });

  it("says what to do about a failure", () => {
    const error = { code: "x", message: "m", retryable: true };
    expect(advice(job({ state: "failed", error }))).toContain("Start it again");
    expect(advice(job({ state: "failed", error: { ...error, retryable: false } }))).toContain(
      "Change the photo",
    );
    const gone = job({ state: "failed", error, settings: { asset_id: "a" }, source_asset: null });
    expect(advice(gone)).toBeNull();
  });

  it("lists the timings it knows and those it does not", () => {
    expect(timings({ render: 7, upload_to_disk: 2, denoise: 0.61 })).toBe(
      facts(...["motion 0.6 s", "render 7.0 s", "upload to disk 2.0 s"].map(whole)),
    );
  });
});
