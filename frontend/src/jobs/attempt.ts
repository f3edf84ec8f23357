import { ApiError } from "../api/client";
import { attemptName } from "../ui/hooks";

interface Attempt<T> {
  name: string;
  body: T;
}

const open = new Map<string, Attempt<unknown>>();

/**
 * The attempt of this action that still waits for its answer, or a new one. An answer that was lost may have made
 * a job: the same name, with the same body, gives that job instead of a second one. Kept beyond the page that asked,
 * because its member may go away and come back before trying again.
 */
export function attemptAt<T>(action: string, body: T): Attempt<T> {
  const attempt = (open.get(action) as Attempt<T> | undefined) ?? { name: attemptName(), body };
  open.set(action, attempt);
  return attempt;
}

/** The studio has answered: whatever is asked next is something new. */
export function attemptEnded(action: string, error: unknown = null): void {
  if (error === null || isAnswer(error)) open.delete(action);
}

/** The studio has said no. No word from it, or that it broke, leaves open what it did. */
export const isAnswer = (error: unknown): boolean =>
  error instanceof ApiError && error.status >= 400 && error.status < 500;
