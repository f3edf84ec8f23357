import { afterEach, describe, expect, it, vi } from "vitest";
import { cannotPlay, frameAt, fullScreen, timeOfFrame } from "./playing";

describe.each([24, 25, 30])("single frames at %i frames per second", (fps) => {
  const length = 5;
  const step = (time: number, by: number) => timeOfFrame(frameAt(time, fps) + by, fps, length);

  it("show every frame once on the way to the end, and again on the way back", () => {
    const seen = [0];
    let time = 0;
    for (let at = 1; at < length * fps; at += 1) {
      time = step(time, 1);
      seen.push(Math.floor(time * fps));
    }
    expect(seen).toEqual(Array.from({ length: length * fps }, (_, at) => at));
    for (let at = 1; at < length * fps; at += 1) time = step(time, -1);
    expect(time).toBe(0);
  });

  it("stay on the last frame and on the first", () => {
    expect(frameAt(step(length, 1), fps)).toBe(length * fps - 1);
    expect(step(0, -1)).toBe(0);
  });
});

describe("a video that does not play", () => {
  it("is not broken when a quick pause came between", () => {
    expect(cannotPlay(new DOMException("interrupted by pause()", "AbortError"))).toBe(false);
    expect(cannotPlay(new DOMException("no gesture", "NotAllowedError"))).toBe(false);
  });

  it("is broken when the browser knows no way to play it", () => {
    expect(cannotPlay(new DOMException("no source", "NotSupportedError"))).toBe(true);
  });
});

describe("full screen", () => {
  const video = (ready: boolean) => {
    const webkitEnterFullscreen = vi.fn();
    return { webkitSupportsFullscreen: ready, webkitEnterFullscreen } as unknown as HTMLVideoElement & {
      webkitEnterFullscreen: typeof webkitEnterFullscreen;
    };
  };
  afterEach(() => vi.unstubAllGlobals());

  it("is of the whole player, or ends", () => {
    const requestFullscreen = vi.fn(() => Promise.reject(new Error("not now")));
    const exitFullscreen = vi.fn();
    const player = { requestFullscreen } as unknown as HTMLElement;
    const phone = video(true);
    vi.stubGlobal("document", { fullscreenElement: null, exitFullscreen });
    fullScreen(player, phone);
    expect([requestFullscreen.mock.calls.length, exitFullscreen.mock.calls.length]).toEqual([1, 0]);
    vi.stubGlobal("document", { fullscreenElement: player, exitFullscreen });
    fullScreen(player, phone);
    expect([requestFullscreen.mock.calls.length, exitFullscreen.mock.calls.length]).toEqual([1, 1]);
    expect(phone.webkitEnterFullscreen).not.toHaveBeenCalled();
  });

  it("is of the video alone where only videos may have it, once it is there", () => {
    vi.stubGlobal("document", {});
    const [early, phone] = [video(false), video(true)];
    fullScreen({} as HTMLElement, early);
    expect(early.webkitEnterFullscreen).not.toHaveBeenCalled();
    fullScreen({} as HTMLElement, phone);
    expect(phone.webkitEnterFullscreen).toHaveBeenCalledOnce();
  });
});
