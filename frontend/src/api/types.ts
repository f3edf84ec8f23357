/** The shapes of the REST interface. */

export type JobState = "queued" | "running" | "succeeded" | "failed" | "canceled" | "expired";

export interface Notice {
  code: string;
  message: string;
}

export interface MaskInfo {
  state: "pending" | "ready" | "failed" | "none";
  source: "auto" | "alpha" | "brush" | null;
  url: string | null;
  job: string | null;
  error: string | null;
}

export interface Asset {
  id: string;
  kind: "image" | "video" | "mask";
  name: string;
  content_type: string;
  width: number;
  height: number;
  bytes: number;
  sha256: string;
  duration: number | null;
  created_at: string;
  product_id: string | null;
  urls: { content: string; thumbnail: string; download: string };
  mask: MaskInfo | null;
}

/** Settings of any kind of job; a kind's panel knows its own fields. */
export type Settings = { asset_id: string } & Record<string, unknown>;

export interface JobError {
  code: string;
  message: string;
  retryable: boolean;
}

export interface ModelRef {
  name: string;
  version: string;
  digest: string;
}

export interface JobResult {
  asset: Asset;
  settings: Record<string, unknown>;
  timings: Record<string, number>;
}

export interface Job {
  id: string;
  kind: string;
  state: JobState;
  settings: Settings;
  metadata: Record<string, unknown>;
  stage: string | null;
  progress: number;
  eta_seconds: number | null;
  queue: { position: number } | null;
  attempt: number;
  max_attempts: number;
  cancel_requested: boolean;
  error: JobError | null;
  notices: Notice[];
  preview_url: string | null;
  result: JobResult | null;
  model: ModelRef | null;
  source_asset: Asset | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  urls: { self: string; events: string; cancel: string };
}

export interface JobEvent {
  seq: number;
  type: string;
  data: Record<string, unknown>;
  created_at: string;
}

export interface Page<T> {
  results: T[];
  next: string | null;
}

export interface Session {
  user: { id: string; email: string; name: string };
  workspaces: { id: string; name: string; role: string }[];
  workspace: string;
}

export interface KindSpec {
  title: string;
  schema: Record<string, unknown>;
  defaults: Record<string, unknown>;
}

export interface Model {
  id: string;
  name: string;
  version: string;
  digest: string;
  kinds: Record<string, KindSpec>;
}

export interface Framing {
  window: [number, number, number, number];
  extended: boolean;
  strength_scale: number;
  notices: Notice[];
}

export interface FieldProblem {
  field: string;
  code: string;
  detail: string;
}
