import { ApiError, sentence } from "../api/client";
import type { Asset } from "../api/types";
import { refusal } from "../api/upload";

export interface Upload {
  id: number;
  name: string;
  /** The photo as it lies on this machine. */
  preview: string;
  /** How much of it was sent, 0..1. */
  fraction: number;
  /** It goes on the stage when it has arrived. */
  use: boolean;
}

export interface UploadState {
  /** The first is on its way, the others wait. */
  uploads: Upload[];
  /** What went wrong with the last files that were given. */
  problems: string[];
}

type Send = (file: File, onProgress: (fraction: number) => void, signal: AbortSignal) => Promise<Asset>;

/** Sends photos one after the other. A photo that fails does not hold up those behind it. */
export class UploadQueue {
  private state: UploadState = { uploads: [], problems: [] };
  private readonly files = new Map<number, File>();
  private readonly listeners = new Set<() => void>();
  /** Names of those that found nobody signed in: what is said of them goes with the page. */
  private signedOut: string[] = [];
  private sending: AbortController | null = null;
  private next = 1;

  constructor(
    private readonly send: Send,
    private readonly onDone: (asset: Asset, use: boolean) => void,
  ) {}

  readonly snapshot = (): UploadState => this.state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** With `use` the first of these photos goes on the stage. `largest`: bytes that the studio takes. */
  readonly add = (files: File[], use: boolean, largest: number): void => {
    this.signedOut = [];
    const refused = files.map((file) => refusal(file, largest));
    const good = files.filter((_, at) => refused[at] === null);
    const uploads = good.map((file, at): Upload => {
      const id = this.next++;
      this.files.set(id, file);
      const preview = URL.createObjectURL(file);
      return { id, name: file.name, preview, fraction: 0, use: use && at === 0 };
    });
    // Only the photo that was chosen last goes on the stage.
    const before = this.state.uploads.map((one) => (use && good.length > 0 ? { ...one, use: false } : one));
    this.change({
      uploads: [...before, ...uploads],
      problems: refused.filter((one): one is string => one !== null),
    });
    if (this.sending === null) void this.run();
  };

  /** What went wrong has been read. */
  readonly dismiss = (): void => {
    this.signedOut = [];
    this.change({ ...this.state, problems: [] });
  };

  /** Gives up the one that is on its way and those that wait. */
  readonly cancel = (): void => {
    for (const { id } of this.state.uploads.slice(this.sending ? 1 : 0)) this.drop(id);
    this.sending?.abort();
  };

  /** Gives up all of them with the page that shows them; which ones, in words, or null. */
  readonly leave = (): string | null => {
    const names = [...this.signedOut, ...this.state.uploads.map((one) => one.name)];
    this.cancel();
    return names.length > 0 ? notUploaded(names) : null;
  };

  private async run(): Promise<void> {
    for (let upload = this.state.uploads[0]; upload; upload = this.state.uploads[0])
      await this.sendOne(upload);
  }

  private async sendOne({ id, name }: Upload): Promise<void> {
    const mine = new AbortController();
    this.sending = mine;
    try {
      const asset = await this.send(
        this.files.get(id) as File,
        (fraction) => this.update(id, { fraction }),
        mine.signal,
      );
      const use = this.state.uploads.find((one) => one.id === id)?.use ?? false;
      this.drop(id);
      this.onDone(asset, use);
    } catch (error) {
      this.drop(id);
      if (error instanceof ApiError && error.status === 401) this.signedOut.push(name);
      if (!mine.signal.aborted)
        this.change({
          ...this.state,
          problems: [...this.state.problems, `“${name}”: ${sentence(error)}`],
        });
    } finally {
      this.sending = null;
    }
  }

  private update(id: number, change: Partial<Upload>): void {
    const uploads = this.state.uploads.map((one) => (one.id === id ? { ...one, ...change } : one));
    this.change({ ...this.state, uploads });
  }

  private drop(id: number): void {
    const gone = this.state.uploads.find((one) => one.id === id);
    if (gone) URL.revokeObjectURL(gone.preview);
    this.files.delete(id);
    this.change({ ...this.state, uploads: this.state.uploads.filter((one) => one.id !== id) });
  }

  private change(state: UploadState): void {
    this.state = state;
    for (const listener of this.listeners) listener();
  }
}

const MOST_NAMES = 3;

function notUploaded(names: string[]): string {
  const quoted = names.slice(0, MOST_NAMES).map((name) => `“${name}”`);
  const more = names.length - quoted.length;
  const list = more > 0 ? `${quoted.join(", ")} and ${more} more` : quoted.join(", ");
  return names.length === 1
    ? `1 photo was not uploaded: ${list}.`
    : `${names.length} photos were not uploaded: ${list}.`;
}
