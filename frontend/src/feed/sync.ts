import type { QueryClient } from "@tanstack/react-query";
import { request } from "../api/client";
import { fetchJobs, knownJobs, putJob, refreshJobLists, updateJob } from "../api/jobs";
import { keys } from "../api/keys";
import type { Job, JobEvent } from "../api/types";
import { generationFilter, isGeneration } from "../kinds";
import { applyEvent, applyEvents, isActive, isTerminal } from "./reduce";
import type { FeedMessage } from "./socket";
import { Soon } from "./soon";

type Send = (message: unknown) => void;

/** Keeps the jobs in the query cache as fresh as the feed: one per page, told by `FeedSocket`. */
export class FeedSync {
  /** Up to where each watched job's log was read; a job is watched from the moment it is in here. */
  private readonly read = new Map<string, number>();
  private readonly asked = new Map<string, number>();
  /** Jobs that the feed would not watch beside the others: what becomes of them is read over REST. */
  private readonly refused = new Set<string>();
  /** Those of them that were read: unless a change is told of, another refusal is no reason to read them again. */
  private readonly readOver = new Set<string>();
  /** Jobs that a list must be asked about, and those that no list has: chores of the studio, or far back. */
  private readonly sought = new Set<string>();
  private readonly foreign = new Set<string>();
  private readonly lists = new Soon(() => this.refreshLists());
  private readonly filtered = new Soon(() => refreshJobLists(this.cache, hasState));
  private readonly count = new Soon(() => this.cache.invalidateQueries({ queryKey: keys.activeJobs }));
  private readonly places = new Soon(() => this.refreshPlaces());

  constructor(
    private readonly cache: QueryClient,
    private readonly send: Send,
  ) {}

  /** After each (re)connect: go on from the last seq, and catch up on what happened meanwhile. */
  opened(): void {
    this.send({ type: "watch_workspace" });
    this.refused.clear();
    this.readOver.clear();
    if (this.read.size > 0) this.send({ type: "watch", jobs: Object.fromEntries(this.read) });
    this.watchActive();
    this.lists.call();
    this.count.call();
    void this.cache.invalidateQueries({ queryKey: keys.oneJob });
    void this.cache.invalidateQueries({ predicate: (query) => query.state.status === "error" });
  }

  stop(): void {
    for (const task of [this.lists, this.filtered, this.count, this.places]) task.stop();
  }

  /** Watches the unfinished jobs that the cache has learned of. */
  watchActive(): void {
    const jobs: Record<string, number> = {};
    for (const job of knownJobs(this.cache)) {
      if (!isActive(job) || this.read.has(job.id) || this.refused.has(job.id)) continue;
      this.read.set(job.id, 0);
      jobs[job.id] = 0;
    }
    if (Object.keys(jobs).length > 0) this.send({ type: "watch", jobs });
  }

  receive(message: FeedMessage): void {
    if (message.type === "events") this.events(message.job_id, message.events);
    if (message.type === "error") this.refuse(message.jobs ?? (message.job_id ? [message.job_id] : []));
    if (message.type === "queue_moved") this.places.call();
    if (message.type !== "job_changed" || (message.kind && !isGeneration(message.kind))) return;
    this.changed(message.job_id, message.state as Job["state"]);
  }

  private events(id: string, events: JobEvent[]): void {
    const job = knownJobs(this.cache).find((known) => known.id === id);
    if (!job) return;
    this.readOver.delete(id);
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
    this.asked.delete(id);
    const end = events.find((event) => isTerminal(event.type as Job["state"]));
    if (end) {
      updateJob(this.cache, id, (job) => applyEvent(job, end));
      this.finished(id);
      return;
    }
    this.read.set(id, Math.max(...events.map((event) => event.seq)));
    void this.refetch(id);
  }

  private refuse(ids: string[]): void {
    for (const id of ids) {
      this.read.delete(id);
      this.refused.add(id);
      if (this.readOver.has(id)) continue;
      this.readOver.add(id);
      void this.refetch(id).then((read) => read || this.readOver.delete(id));
    }
  }

  /** It needs no watching any more, which leaves room for one that was refused. */
  private finished(id: string): void {
    this.read.delete(id);
    this.readOver.delete(id);
    this.send({ type: "unwatch", jobs: [id] });
    this.refused.clear();
    this.watchActive();
    void this.refetch(id);
  }

  private changed(id: string, state: Job["state"]): void {
    const job = knownJobs(this.cache).find((known) => known.id === id);
    if (state !== "queued") this.places.call();
    if (state !== "running") this.count.call();
    if (!job) {
      this.lookFor(id);
      return;
    }
    if (job.state !== state) this.filtered.call();
    const unwatched = !this.read.has(id) || this.readOver.has(id);
    if (job.state !== state && isActive(job) && unwatched) void this.refetch(id);
    if (!isTerminal(state)) this.watchActive();
  }

  private lookFor(id: string): void {
    if (this.foreign.has(id)) return;
    this.sought.add(id);
    this.lists.call();
  }

  private async refreshLists(): Promise<void> {
    const sought = [...this.sought];
    this.sought.clear();
    if (!(await refreshJobLists(this.cache))) return;
    const known = new Set(knownJobs(this.cache).map((job) => job.id));
    for (const id of sought) if (!known.has(id)) this.foreign.add(id);
  }

  /** Where the waiting jobs on the screen stand now: one request for all, another for one far back in a long queue. */
  private async refreshPlaces(): Promise<void> {
    const waiting = knownJobs(this.cache, "active").filter((job) => job.state === "queued");
    if (waiting.length === 0) return;
    const page = await fetchJobs(generationFilter("queued"), "", 100).catch(() => null);
    if (!page) return;
    for (const fresh of page.results) updateJob(this.cache, fresh.id, (job) => withPlace(job, fresh));
    if (page.next === null) return;
    const found = new Set(page.results.map((job) => job.id));
    for (const job of waiting) {
      const watched = this.cache.getQueryCache().find({ queryKey: keys.job(job.id), type: "active" });
      if (watched && !found.has(job.id)) void this.refetch(job.id);
    }
  }

  private async refetch(id: string): Promise<boolean> {
    const job = await request<Job>("GET", `/jobs/${id}`).catch(() => null);
    if (job) putJob(this.cache, job);
    return job !== null;
  }
}

const hasState = (filter: string): boolean => new URLSearchParams(filter).has("state");

/** Its events may have told meanwhile that it waits no longer. */
const withPlace = (job: Job, fresh: Job): Job =>
  job.state === "queued" ? { ...job, queue: fresh.queue, eta_seconds: fresh.eta_seconds } : job;
