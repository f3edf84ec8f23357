import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { emptyHistory, type History } from "./history";
import { Saves } from "./saves";
import { type MaskWork, UnsavedMasks } from "./unsaved";

const painted: History = {
  ...emptyHistory,
  steps: [{ type: "stroke", stroke: { tool: "brush", size: 0.1, points: [0.5, 0.5] } }],
};

let online: boolean;
let server: number;
let unsaved: UnsavedMasks;
let work: MaskWork;

const wait = () => vi.advanceTimersByTimeAsync(1000);

beforeEach(() => {
  vi.useFakeTimers();
  [online, server] = [true, 0];
  const saves = new Saves(() => async () => {
    if (!online) throw new Error("offline");
    server += 1;
  });
  work = {
    history: painted,
    bases: { opened: null, openedIsAutomatic: true, automatic: null, blank: null },
    known: { current: "auto" },
    saves,
  };
  unsaved = new UnsavedMasks();
});
afterEach(() => vi.useRealTimers());

describe("what was painted", () => {
  it("is kept, strokes and all, until the studio has it", async () => {
    online = false;
    work.saves.soon();
    unsaved.keep("a1", work);
    await wait();
    expect(work.saves.snapshot()).toBe("failed");
    expect(unsaved.find("a1")?.history).toBe(painted);
    expect(unsaved.find("a2")).toBeNull();
    online = true;
    unsaved.retry();
    await wait();
    expect([server, unsaved.count(), unsaved.find("a1")]).toEqual([1, 0, null]);
  });

  it("is told of from the first stroke on, so that nobody leaves the page without a question", async () => {
    const told: number[] = [];
    unsaved.subscribe(() => told.push(unsaved.count()));
    work.saves.soon();
    unsaved.keep("a1", work);
    unsaved.keep("a1", work);
    expect(told).toEqual([1]);
    await wait();
    expect(told).toEqual([1, 0]);
  });

  it("is not kept when there is nothing to save, nor when its photo is gone", () => {
    unsaved.keep("a1", work);
    expect(unsaved.count()).toBe(0);
    work.saves.soon();
    unsaved.keep("a1", work);
    unsaved.forget("a1");
    expect(unsaved.count()).toBe(0);
  });
});
