import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FeedSocket } from "./socket";

/** The browser's socket, as far as the feed uses it, driven by the test. */
class FakeSocket {
  static readonly OPEN = 1;
  static made: FakeSocket[] = [];
  readyState = 1;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;

  constructor(readonly url: string) {
    FakeSocket.made.push(this);
  }

  static get last(): FakeSocket {
    return FakeSocket.made[FakeSocket.made.length - 1] as FakeSocket;
  }

  say(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  end(code: number): void {
    this.onclose?.({ code });
  }

  send(): void {}
  close(): void {}
}

const hello = { type: "hello", workspace: "w1" };
const listener = { onHello: vi.fn(), onRefused: vi.fn(), onMessage: vi.fn(), onConnection: vi.fn() };

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(1);
  const events = { addEventListener: () => {}, removeEventListener: () => {} };
  vi.stubGlobal("window", { ...events, setTimeout, clearTimeout });
  vi.stubGlobal("document", { ...events, visibilityState: "visible" });
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.made = [];
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  for (const told of Object.values(listener)) told.mockReset();
});

describe("the feed's socket", () => {
  it("comes back ever more slowly while it is let in and thrown out again", () => {
    const socket = new FeedSocket("ws://studio/feed", listener);
    for (const code of [4403, 4403, 4401, 1011, 1006]) {
      FakeSocket.last.onopen?.();
      FakeSocket.last.say(hello);
      FakeSocket.last.end(code);
      vi.advanceTimersByTime(10_000);
    }
    const before = FakeSocket.made.length;
    FakeSocket.last.say(hello);
    FakeSocket.last.end(4403);
    vi.advanceTimersByTime(5_000);
    expect(FakeSocket.made).toHaveLength(before);
    socket.stop();
  });

  it("starts from the short wait again after it was up for a while", () => {
    const socket = new FeedSocket("ws://studio/feed", listener);
    for (let time = 0; time < 5; time += 1) {
      FakeSocket.last.end(1006);
      vi.advanceTimersByTime(10_000);
    }
    FakeSocket.last.say(hello);
    vi.advanceTimersByTime(6_000);
    const before = FakeSocket.made.length;
    FakeSocket.last.end(1006);
    vi.advanceTimersByTime(400);
    expect(FakeSocket.made).toHaveLength(before + 1);
    socket.stop();
  });

  it("is open only once the feed has said hello", () => {
    const socket = new FeedSocket("ws://studio/feed", listener);
    FakeSocket.last.onopen?.();
    FakeSocket.last.end(4401);
    expect(listener.onHello).not.toHaveBeenCalled();
    expect(listener.onConnection).not.toHaveBeenCalledWith("open");
    socket.stop();
  });

  it.each([4401, 4403])("tells that it was refused (%i), which a lost line is not", (code) => {
    const socket = new FeedSocket("ws://studio/feed", listener);
    FakeSocket.last.end(1006);
    expect(listener.onRefused).not.toHaveBeenCalled();
    vi.advanceTimersByTime(10_000);
    FakeSocket.last.end(code);
    expect(listener.onRefused).toHaveBeenCalledTimes(1);
    socket.stop();
  });
});
