import { isAnswer } from "../jobs/attempt";

const SAVE_AFTER_MS = 600;

export type SaveState = "saved" | "waiting" | "saving" | "failed";

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

  /** What failed is sent again. */
  readonly retry = (): void => {
    if (this.state === "failed") this.now();
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
        this.ended(mine, "saved");
      },
      (error) => {
        this.onTheirWay -= 1;
        this.unanswered ||= !isAnswer(error);
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
