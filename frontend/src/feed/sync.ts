import type { QueryClient } from "@tanstack/react-query";
import { request } from "../api/client";
import { keys, knownJobs, putJob, updateJob } from "../api/queries";
import type { Job, JobEvent } from "../api/types";
import { applyEvents, isActive, isTerminal } from "./reduce";
import type { FeedMessage } from "./socket";

type Send = (message: unknown) => void;

/** Keeps the jobs in the query cache as fresh as the feed: one per page, told by `FeedSocket`. */
export class FeedSync {
  /** Up to where each watched job's log was read; a job is watched from the moment it is in here. */
  private readonly read = new Map<string, number>();
  private readonly asked = new Map<string, number>();
  private listTimer: number | undefined;

  constructor(
    private readonly cache: QueryClient,
    private readonly send: Send,
  ) {}

  /** After each (re)connect: go on from the last seq, and catch up on what happened meanwhile. */
  opened(): void {
    this.send({ type: "watch_workspace" });
    if (this.read.size > 0) this.send({ type: "watch", jobs: Object.fromEntries(this.read) });
    this.watchActive();
    void this.cache.invalidateQueries({ queryKey: keys.jobs });
  }

  /** Watches the unfinished jobs that the cache has learned of. */
  watchActive(): void {
    const jobs: Record<string, number> = {};
    for (const job of knownJobs(this.cache)) {
      if (!isActive(job) || this.read.has(job.id)) continue;
      this.read.set(job.id, 0);
      jobs[job.id] = 0;
    }
    if (Object.keys(jobs).length > 0) this.send({ type: "watch", jobs });
  }

  receive(message: FeedMessage): void {
    if (message.type === "events") this.events(message.job_id, message.events);
    if (message.type === "job_changed") this.changed(message.job_id, message.state as Job["state"]);
  }

  private events(id: string, events: JobEvent[]): void {
    const job = knownJobs(this.cache).find((known) => known.id === id);
    if (!job) return;
    const after = applyEvents({ job, seq: this.read.get(id) ?? 0 }, events);
    this.read.set(id, after.seq);
    if (after.gap) {
      this.fillGap(id, after.seq, events);
      return;
    }
    this.asked.delete(id);
    updateJob(this.cache, id, () => after.job);
    if (isTerminal(after.job.state)) this.finished(id);
  }

  /** Asks for what is missing once; if it is gone for good, takes the job as it stands now. */
  private fillGap(id: string, seq: number, events: JobEvent[]): void {
    if (this.asked.get(id) !== seq) {
      this.asked.set(id, seq);
      this.send({ type: "watch", jobs: { [id]: seq } });
      return;
    }
    this.read.set(id, Math.max(...events.map((event) => event.seq)));
    void this.refetch(id);
  }

  private finished(id: string): void {
    this.read.delete(id);
    void this.refetch(id);
  }

  private changed(id: string, state: Job["state"]): void {
    const job = knownJobs(this.cache).find((known) => known.id === id);
    if (!job || this.queueMoved(state)) this.refreshLists();
    if (!job) return;
    if (isTerminal(state) && isActive(job) && !this.read.has(id)) void this.refetch(id);
    if (!isTerminal(state)) this.watchActive();
  }

  /** A job that started or ended moves the ones that wait behind it. */
  private queueMoved(state: Job["state"]): boolean {
    return isTerminal(state) && knownJobs(this.cache).some((job) => job.state === "queued");
  }

  private refreshLists(): void {
    if (this.listTimer !== undefined) return;
    this.listTimer = window.setTimeout(() => {
      this.listTimer = undefined;
      void this.cache.invalidateQueries({ queryKey: keys.jobs });
    }, 250);
  }

  private async refetch(id: string): Promise<void> {
    const job = await request<Job>("GET", `/jobs/${id}`).catch(() => null);
    if (job) putJob(this.cache, job);
  }
}
