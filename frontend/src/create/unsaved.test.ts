import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../api/client";
import { emptyHistory, type History } from "./history";
import { Saves } from "./saves";
import { type MaskWork, UnsavedMasks } from "./unsaved";

const painted: History = {
  ...emptyHistory,
  steps: [{ type: "stroke", stroke: { tool: "brush", size: 0.1, points: [0.5, 0.5] } }],
};

let online: boolean;
let refusal: ApiError | null;
let server: number;
let unsaved: UnsavedMasks;
let work: MaskWork;

const wait = () => vi.advanceTimersByTimeAsync(1000);

beforeEach(() => {
  vi.useFakeTimers();
  [online, server, refusal] = [true, 0, null];
  const saves = new Saves(() => async () => {
    if (!online) throw new Error("offline");
    if (refusal) throw refusal;
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

  it.each([401, 408, 429, 503, 507])("waits for the studio to take it after a %i", async (status) => {
    refusal = new ApiError(status, "error", "Not now.");
    work.saves.soon();
    unsaved.keep("a1", work);
    await wait();
    expect([unsaved.count(), work.saves.trouble()?.final]).toEqual([1, false]);
    refusal = null;
    unsaved.retry();
    await wait();
    expect([server, unsaved.count(), work.saves.trouble()]).toEqual([1, 0, null]);
  });

  it("is sent no more and asked about no more after a refusal for good, but still there to go on with", async () => {
    refusal = new ApiError(403, "forbidden", "Your role does not allow this.");
    work.saves.soon();
    unsaved.keep("a1", work);
    await wait();
    expect(work.saves.trouble()).toEqual({ error: refusal, final: true });
    expect([unsaved.count(), unsaved.find("a1")]).toEqual([0, work]);
    refusal = null;
    unsaved.retry();
    await wait();
    expect(server).toBe(0);
    work.saves.soon();
    expect(unsaved.count()).toBe(1);
    await wait();
    expect([server, unsaved.count()]).toEqual([1, 0]);
  });

  it("is sent at once when its member leaves, one failure and all", async () => {
    online = false;
    work.saves.soon();
    unsaved.keep("a1", work);
    await unsaved.flush();
    expect(unsaved.count()).toBe(1);
    online = true;
    await unsaved.flush();
    expect([server, unsaved.count()]).toEqual([1, 0]);
  });
});
