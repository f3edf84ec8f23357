import { describe, expect, it } from "vitest";
import { ago, characters, clock, fileSize, timeLeft } from "./format";

describe("format", () => {
  it("writes a position in a video with tenths", () => {
    expect([clock(0), clock(4.25), clock(75)]).toEqual(["0:00.0", "0:04.3", "1:15.0"]);
  });

  it("rounds the time left more the longer it is", () => {
    expect([0.3, 7.6, 23, 200].map(timeLeft)).toEqual([
      "a moment left",
      "8 s left",
      "about 25 s left",
      "about 3 min left",
    ]);
  });

  it("tells how long ago something was", () => {
    const now = Date.parse("2026-01-01T12:00:00Z");
    expect(ago("2026-01-01T11:59:40Z", now)).toBe("just now");
    expect(ago("2026-01-01T11:30:00Z", now)).toBe("30 min ago");
    expect(ago("2026-01-01T02:00:00Z", now)).toBe("10 h ago");
  });

  it("writes sizes", () => {
    expect([fileSize(10), fileSize(2_345_678)]).toEqual(["1 kB", "2.3 MB"]);
  });

  it("counts characters, not UTF-16 units", () => {
    expect(characters("a👍🏽é")).toBe(4);
  });
});
