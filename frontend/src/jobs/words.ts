import type { Job } from "../api/types";
import { panelOf } from "../kinds";
import { facts, timeLeft, whole } from "../ui/format";

/** The member's own words; without any, the photo that it was made from. */
export function title(job: Job): string {
  const photo = job.source_asset?.name.replace(/\.\w+$/, "");
  return panelOf(job.kind)?.title(job.settings).trim() || photo || "Untitled video";
}

/** "9:16 · 5 s · Orbit left", as it was asked for. */
export function summary(job: Job): string {
  return panelOf(job.kind)?.summary(job.settings) ?? job.kind;
}

const STAGES: Record<string, string> = {
  load: "Loading the model",
  prepare: "Preparing the photo",
  denoise: "Creating the motion",
  render: "Rendering the video",
};

/** What a job does right now, in one short sentence. */
export function activity(job: Job): string {
  if (job.cancel_requested && job.state === "running") return "Canceling";
  switch (job.state) {
    case "queued":
      return queued(job);
    case "running":
      return STAGES[job.stage ?? ""] ?? "Starting";
    case "succeeded":
      return "Finished";
    case "failed":
      return "Failed";
    case "canceled":
      return "Canceled";
    case "expired":
      return "Expired";
  }
}

function queued(job: Job): string {
  const position = job.queue?.position;
  const again = job.attempt > 0 ? ", trying again" : "";
  if (position === undefined) return `Waiting${again}`;
  return position <= 1 ? `Next in line${again}` : `Number ${position} in line${again}`;
}

/** Percentage and time left; empty while there is nothing to say. */
export function progressText(job: Job, secondsLeft: number | null): string {
  if (job.state !== "running") return "";
  const share = `${Math.floor(job.progress * 100)} %`;
  return facts(share, secondsLeft !== null && timeLeft(secondsLeft));
}

/** Nothing can be made from it again. */
export const photoIsGone = (job: Job): boolean => job.source_asset === null && Boolean(job.settings.asset_id);

/** It was made, and somebody has deleted it since. */
export const videoIsGone = (job: Job): boolean => job.result !== null && job.result.asset === null;

/** What a member can do about a failure; nothing, where only another photo helps. */
export function advice(job: Job): string | null {
  if (photoIsGone(job)) return null;
  if (job.state === "expired")
    return "It waited past its deadline and was not started. Start it again when the studio is less busy.";
  if (job.error?.retryable) return "This can pass by itself. Start it again.";
  return "Change the photo or the settings, then start it again.";
}

const TIMINGS: Record<string, string> = {
  load: "model",
  prepare: "photo",
  denoise: "motion",
  render: "render",
};

const ORDER = Object.keys(TIMINGS);

/** "motion 0.6 s · render 7.1 s", in the order of the work */
export function timings(values: Record<string, number>): string {
  const place = (name: string) => (ORDER.indexOf(name) + ORDER.length + 1) % (ORDER.length + 1);
  const sorted = Object.entries(values).sort(([a], [b]) => place(a) - place(b));
  return facts(
    ...sorted.map(([name, value]) =>
      whole(`${TIMINGS[name] ?? name.replaceAll("_", " ")} ${value.toFixed(1)} s`),
    ),
  );
}
