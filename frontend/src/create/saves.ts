import { ApiError } from "../api/client";
import { isAnswer } from "../jobs/attempt";

const SAVE_AFTER_MS = 600;

export type SaveState = "saved" | "waiting" | "saving" | "failed";

/** Why the newest save did not arrive; `final`: to send the same again is of no use. */
export interface Trouble {
  error: unknown;
  final: boolean;
}

/** Takes what is to be saved as it is now, and gives what sends it. */
type Prepare = () => () => Promise<unknown>;

/** Sends one save after the other, a moment after the last change, and knows whether the last of them has arrived. */
export class Saves {
  private state: SaveState = "saved";
  private timer: ReturnType<typeof setTimeout> | undefined;
  private count = 0;
  /** The newest save, as it ends; the next one waits for it, however it ends. */
  private newest: Promise<unknown> = Promise.resolve();
  private onTheirWay = 0;
  /** No answer came to one of them since the last that arrived. */
  private unanswered = false;
  private lastTrouble: Trouble | null = null;
  private readonly listeners = new Set<() => void>();

  /** `prepare` may be replaced: whoever shows what is to be saved knows it best. */
  constructor(public prepare: Prepare) {}

  readonly snapshot = (): SaveState => this.state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Whether one may have arrived of which is not known yet that it did. */
  readonly doubtful = (): boolean => this.onTheirWay > 0 || this.unanswered;

  /** What went wrong, until something has arrived. */
  readonly trouble = (): Trouble | null => this.lastTrouble;

  /** The studio will not have it, whenever it is sent. */
  readonly refused = (): boolean => this.state === "failed" && this.lastTrouble?.final === true;

  /** Something was changed. */
  readonly soon = (): void => {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.now, SAVE_AFTER_MS);
    this.change("waiting");
  };

  /** Resolves when everything has arrived; raises when it cannot be sent. What failed before is sent again. */
  readonly flush = async (): Promise<void> => {
    if (this.timer !== undefined || this.state === "failed") this.now();
    await this.newest;
  };

  /** What failed is sent again, unless the studio has refused it for good. */
  readonly retry = (): void => {
    if (this.state === "failed" && !this.refused()) this.now();
  };

  private readonly now = (): void => {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.count += 1;
    const mine = this.count;
    this.change("saving");
    const send = this.prepare();
    const sent = this.newest.catch(() => undefined).then(send);
    this.newest = sent;
    this.onTheirWay += 1;
    sent.then(
      () => {
        this.onTheirWay -= 1;
        this.unanswered = false;
        this.lastTrouble = null;
        this.ended(mine, "saved");
      },
      (error) => {
        this.onTheirWay -= 1;
        this.unanswered ||= !isAnswer(error);
        this.lastTrouble = { error, final: isFinal(error) };
        this.ended(mine, "failed");
      },
    );
  };

  /** Only the last word on it: what came while this was on its way is not saved yet. */
  private ended(which: number, state: SaveState): void {
    if (which === this.count && this.timer === undefined) this.change(state);
  }

  private change(state: SaveState): void {
    this.state = state;
    for (const listener of this.listeners) listener();
  }
}

/** 401, 408, 429 and an old CSRF token are refusals too, but of a moment: signing in or waiting helps. */
const isFinal = (error: unknown): boolean =>
  isAnswer(error) &&
  error instanceof ApiError &&
  ![401, 408, 429].includes(error.status) &&
  error.code !== "csrf_failed";
