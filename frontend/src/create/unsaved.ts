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
  private readonly listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** How many. */
  readonly count = (): number => this.works.size;

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
    });
    this.works.set(asset, { work, stop });
    if (!known) this.tell();
  };

  /** The photo is gone: there is nothing to save any more. */
  readonly forget = (asset: string): void => {
    this.works.get(asset)?.stop();
    if (this.works.delete(asset)) this.tell();
  };

  /** The studio answers again. */
  readonly retry = (): void => {
    for (const { work } of this.works.values()) work.saves.retry();
  };

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}
