import type { FieldProblem } from "./types";

export const API = "/api/v1";
export const SESSION = "/session";

/** A refused or failed request, as RFC 9457 tells it; `code` is "offline" when nothing answered. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly errors: FieldProblem[] = [],
  ) {
    super(detail);
  }

  get offline(): boolean {
    return this.code === "offline";
  }
}

export const OFFLINE = "The studio does not answer. Check that it is running and that you are connected.";

const SIGNED_OUT = "Your session has ended. Sign in again to go on.";

let workspace: string | null = null;

/** Every later request names this workspace. */
export function setWorkspaceHeader(id: string | null): void {
  workspace = id;
}

/** For a request that belongs to a workspace, whichever the page shows when it is sent. */
export const inWorkspace = (id: string) => ({ "X-Workspace": id });

let onDoubt: () => void = () => {};

/** Who wants to know that the studio took a request for one of nobody, or of somebody who may do less. */
export function setDoubtListener(listener: () => void): void {
  onDoubt = listener;
}

/** Something was changed that may be who is signed in, or what they may do. */
export const doubtSession = (): void => onDoubt();

function cookie(name: string): string | null {
  for (const part of document.cookie.split("; ")) {
    if (part.startsWith(`${name}=`)) return decodeURIComponent(part.slice(name.length + 1));
  }
  return null;
}

export function requestHeaders(method: string, path: string): Record<string, string> {
  const headers: Record<string, string> = { Accept: "application/json" };
  // Who is signed in does not depend on a workspace, and must be told also to who has just lost this one.
  if (workspace && path !== SESSION) headers["X-Workspace"] = workspace;
  if (method !== "GET") headers["X-CSRFToken"] = cookie("csrftoken") ?? "";
  return headers;
}

/** Turns an answer that is not a success into an ApiError, whatever its body is. */
export function problemFrom(status: number, body: string): ApiError {
  const problem = readProblem(status, body);
  if (status === 403 && problem.code === "forbidden") onDoubt();
  // A wrong password is a 401 too, but nobody was signed out by it.
  if (status !== 401 || problem.code === "wrong_credentials") return problem;
  onDoubt();
  // The studio's own sentence also tells machines about their keys; here it is read by people.
  return new ApiError(status, problem.code, SIGNED_OUT);
}

function readProblem(status: number, body: string): ApiError {
  try {
    const problem = JSON.parse(body) as Record<string, unknown>;
    const detail = String(problem.detail ?? problem.title ?? "The studio refused this request.");
    return new ApiError(
      status,
      String(problem.code ?? "error"),
      detail,
      (problem.errors as FieldProblem[] | undefined) ?? [],
    );
  } catch {
    if (status === 413) return new ApiError(status, "too_large", "This file is too large for the studio.");
    return new ApiError(status, "error", `The studio answered with an error (${status}). Please try again.`);
  }
}

interface Options {
  body?: unknown;
  blob?: Blob;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export async function request<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const headers = { ...requestHeaders(method, path), ...options.headers };
  let body: BodyInit | undefined;
  if (options.blob) {
    body = options.blob;
    headers["Content-Type"] = options.blob.type;
  } else if (options.body !== undefined) {
    body = JSON.stringify(options.body);
    headers["Content-Type"] = "application/json";
  }
  let response: Response;
  let text: string;
  try {
    response = await fetch(API + path, {
      method,
      headers,
      body,
      signal: options.signal,
      credentials: "same-origin",
    });
    text = await response.text();
  } catch (cause) {
    if (options.signal?.aborted) throw cause;
    throw new ApiError(0, "offline", OFFLINE);
  }
  if (!response.ok) throw problemFrom(response.status, text);
  return (text ? JSON.parse(text) : undefined) as T;
}

/** The sentence a user should read for any thrown value. */
export function sentence(error: unknown): string {
  if (!(error instanceof Error)) return "Something went wrong. Please try again.";
  const told = error instanceof ApiError ? new Set(error.errors.map(fieldSentence)) : [];
  return [...told].join(" ") || error.message;
}

/** What is wrong with a photo, a file or a whole form says so itself; anything else is named, "Prompt: ...". */
function fieldSentence({ field, detail }: FieldProblem): string {
  const name = field.split(".").findLast((part) => !/^\d+$/.test(part)) ?? "";
  if (name === "" || ["file", "body"].includes(name) || name.endsWith("_id")) return detail;
  const words = name === "email" ? "e-mail" : name.replaceAll("_", " ");
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}: ${detail}`;
}
