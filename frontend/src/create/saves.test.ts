import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../api/client";
import { type SaveState, Saves } from "./saves";

let mask: string;
let server: string[];
let told: SaveState[];
/** The saves that are on their way, oldest first. */
let sent: { arrive: () => void; fail: () => void; refuse: () => void }[];
let saves: Saves;

const paint = (next: string) => {
  mask = next;
  saves.soon();
};
const settled = () => vi.advanceTimersByTimeAsync(0);
const wait = () => vi.advanceTimersByTimeAsync(600);

beforeEach(() => {
  vi.useFakeTimers();
  [server, told, sent] = [[], [], []];
  const prepare = () => {
    const picture = mask;
    return () =>
      new Promise<void>((resolve, reject) => {
        const arrive = () => {
          server.push(picture);
          resolve();
        };
        const refuse = () => reject(new ApiError(403, "forbidden", "Your role does not allow this."));
        sent.push({ arrive, fail: () => reject(new Error(`${picture} was lost`)), refuse });
      });
  };
  saves = new Saves(prepare);
  saves.subscribe(() => told.push(saves.snapshot()));
});
afterEach(() => vi.useRealTimers());

describe("the saves of a mask", () => {
  it("go a moment after the last change, and are told of", async () => {
    paint("one");
    paint("two");
    await wait();
    sent[0]?.arrive();
    await settled();
    expect(server).toEqual(["two"]);
    expect(told).toEqual(["waiting", "waiting", "saving", "saved"]);
  });

  it("go one after the other", async () => {
    paint("one");
    await wait();
    paint("two");
    await wait();
    expect(sent).toHaveLength(1);
    sent[0]?.arrive();
    await settled();
    sent[1]?.arrive();
    await settled();
    expect(server).toEqual(["one", "two"]);
  });

  it("are waited for, and what waits is sent at once", async () => {
    paint("one");
    const flushed = saves.flush();
    await settled();
    sent[0]?.arrive();
    await flushed;
    expect(server).toEqual(["one"]);
  });

  it("raise where one that is already on its way fails, and are sent again the next time", async () => {
    paint("one");
    await wait();
    const flushed = saves.flush();
    const refused = expect(flushed).rejects.toThrow("one was lost");
    sent[0]?.fail();
    await refused;
    expect(told.at(-1)).toBe("failed");
    const again = saves.flush();
    await settled();
    sent[1]?.arrive();
    await again;
    expect([server, told.at(-1)]).toEqual([["one"], "saved"]);
  });

  it("do not call a change saved that came while an older one was on its way", async () => {
    paint("one");
    await wait();
    paint("two");
    sent[0]?.arrive();
    await settled();
    expect(told.at(-1)).toBe("waiting");
  });

  it("leave it open whether they arrived, while they are on their way and after no answer came", async () => {
    expect(saves.doubtful()).toBe(false);
    paint("one");
    expect(saves.doubtful()).toBe(false);
    await wait();
    expect(saves.doubtful()).toBe(true);
    sent[0]?.fail();
    await settled();
    expect(saves.doubtful()).toBe(true);
    saves.retry();
    await settled();
    sent[1]?.arrive();
    await settled();
    expect(saves.doubtful()).toBe(false);
    paint("two");
    await wait();
    sent[2]?.refuse();
    await settled();
    expect(saves.doubtful()).toBe(false);
  });

  it("are sent again once the studio answers, and only what failed", async () => {
    saves.retry();
    paint("one");
    saves.retry();
    expect(sent).toHaveLength(0);
    await wait();
    sent[0]?.fail();
    await settled();
    saves.retry();
    await settled();
    sent[1]?.arrive();
    await settled();
    expect([server, told.at(-1)]).toEqual([["one"], "saved"]);
  });
});
