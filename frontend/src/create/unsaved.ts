import type { History } from "./history";
import type { MaskCanvas } from "./maskPixels";
import type { Saves } from "./saves";

/** The mask as the stage opened with it, and the studio's own. */
export interface Bases {
  opened: MaskCanvas | null;
  openedIsAutomatic: boolean;
  automatic: MaskCanvas | null;
  /** The empty one that stands for a mask where none was found, until one is. */
  blank: MaskCanvas | null;
}

/** A mask that is being corrected: all that is needed to go on with it after its page was left. */
export interface MaskWork {
  history: History;
  bases: Bases;
  /** Which mask the studio has for what is on the stage. */
  known: { current: string };
  saves: Saves;
}

/** The masks that the studio does not have yet as they were painted. They outlive the page they were painted on. */
export class UnsavedMasks {
  private readonly works = new Map<string, { work: MaskWork; stop: () => void }>();
  private told = 0;
  private readonly listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** How many still wait to arrive. One that the studio refuses for good waits for nothing. */
  readonly count = (): number => [...this.works.values()].filter(({ work }) => !work.saves.refused()).length;

  /** What was painted on this photo and has not arrived, to go on with. */
  readonly find = (asset: string): MaskWork | null => this.works.get(asset)?.work ?? null;

  /** Holds the work until it has arrived. Kept again, it replaces what was kept of it before. */
  readonly keep = (asset: string, work: MaskWork): void => {
    const { saves } = work;
    if (saves.snapshot() === "saved") return;
    const known = this.works.get(asset);
    known?.stop();
    const stop = saves.subscribe(() => {
      if (saves.snapshot() === "saved") this.forget(asset);
      else this.tell();
    });
    this.works.set(asset, { work, stop });
    this.tell();
  };

  /** The photo is gone: there is nothing to save any more. */
  readonly forget = (asset: string): void => {
    this.works.get(asset)?.stop();
    this.works.delete(asset);
    this.tell();
  };

  /** The studio answers again. */
  readonly retry = (): void => {
    for (const { work } of this.works.values()) work.saves.retry();
  };

  /** Resolves when all of them have arrived, or failed to. */
  readonly flush = async (): Promise<void> => {
    await Promise.allSettled([...this.works.values()].map(({ work }) => work.saves.flush()));
  };

  private tell(): void {
    const count = this.count();
    if (count === this.told) return;
    this.told = count;
    for (const listener of this.listeners) listener();
  }
}
