const WAIT_MS = 250;
const APART_MS = 1000;

/** Runs a task a moment later: many calls make one run, and runs keep a distance from each other. */
export class Soon {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private last = Number.NEGATIVE_INFINITY;

  constructor(private readonly task: () => Promise<unknown>) {}

  call(): void {
    if (this.timer !== undefined) return;
    const delay = Math.max(WAIT_MS, this.last + APART_MS - Date.now());
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.last = Date.now();
      void this.task();
    }, delay);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
