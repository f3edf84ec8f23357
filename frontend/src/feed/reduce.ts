import type { Job, JobError, JobEvent, JobResult, JobState, Notice } from "../api/types";

/** Where one job's event log has been read to. */
export interface Position {
  job: Job;
  seq: number;
}

export interface Applied extends Position {
  /** Events are missing between `seq` and what arrived: ask again from `seq`. */
  gap: boolean;
}

const TERMINAL: ReadonlySet<JobState> = new Set(["succeeded", "failed", "canceled", "expired"]);

export const isTerminal = (state: JobState): boolean => TERMINAL.has(state);
export const isActive = (job: Job): boolean => !isTerminal(job.state);

/**
 * Reads events on top of a job. Repeated events are skipped, disordered ones sorted, and nothing after
 * a missing event is believed: the log is asked again instead.
 */
export function applyEvents(from: Position, events: readonly JobEvent[]): Applied {
  let { job, seq } = from;
  for (const event of [...events].sort((a, b) => a.seq - b.seq)) {
    if (event.seq <= seq) continue;
    if (event.seq > seq + 1) return { job, seq, gap: true };
    job = applyEvent(job, event);
    seq = event.seq;
  }
  return { job, seq, gap: false };
}

export function applyEvent(job: Job, event: JobEvent): Job {
  const data = event.data;
  switch (event.type) {
    case "queued":
      return { ...job, state: "queued" };
    case "started":
      return { ...job, ...started(job, data), started_at: job.started_at ?? event.created_at };
    case "progress":
      return {
        ...job,
        state: "running",
        queue: null,
        stage: data.stage as string,
        progress: data.fraction as number,
        eta_seconds: (data.eta_seconds as number | null) ?? null,
      };
    case "preview":
      return { ...job, preview_url: data.url as string };
    case "notice":
      return { ...job, notices: withNotice(job.notices, data as unknown as Notice) };
    case "requeued":
      return { ...job, ...FRESH, state: "queued", attempt: attemptAfter(job, data) };
    case "succeeded":
      return ended(job, event, { result: resultOf(data) ?? job.result, progress: 1 });
    case "failed":
      return ended(job, event, { error: data as unknown as JobError });
    case "canceled":
    case "expired":
      return ended(job, event, {});
    default:
      return job;
  }
}

const FRESH = { stage: null, progress: 0, eta_seconds: null, preview_url: null } as const;

/** An attempt begins with nothing of the one before, as the studio's own row does. */
function started(job: Job, data: Record<string, unknown>): Partial<Job> {
  const attempt = (data.attempt as number | undefined) ?? job.attempt;
  return { ...FRESH, state: "running", queue: null, attempt, notices: [], error: null };
}

/** A worker that shuts down hands the job back unharmed: its attempt does not count. */
const attemptAfter = (job: Job, data: Record<string, unknown>): number =>
  data.reason === "worker_stopped" ? Math.max(0, job.attempt - 1) : job.attempt;

function ended(job: Job, event: JobEvent, change: Partial<Job>): Job {
  const state = event.type as JobState;
  return { ...job, ...change, state, queue: null, eta_seconds: null, finished_at: event.created_at };
}

/** The event may carry a shorter result than GET /jobs/{id}; only a whole one is shown. */
function resultOf(data: Record<string, unknown>): JobResult | null {
  const result = data.result as JobResult | undefined;
  return result?.asset?.urls ? result : null;
}

function withNotice(notices: Notice[], notice: Notice): Notice[] {
  const known = notices.some((other) => other.code === notice.code && other.message === notice.message);
  return known ? notices : [...notices, notice];
}
