import { describe, expect, it } from "vitest";
import { forgetUrl, stableUrl } from "./stableUrl";

const MINUTE = 60_000;
const START = 1_800_000_000_000;

const signed = (name: string, minutes: number) =>
  `/media/${((START + minutes * MINUTE) / 1000).toString(16)}.i.cGFja2Vk.${name}/photo.jpg`;

describe("the address of a file", () => {
  it("stays the same while it is good for more than five minutes", () => {
    const first = signed("first", 45);
    expect(stableUrl("stays", first, START)).toBe(first);
    expect(stableUrl("stays", signed("second", 60), START + 39 * MINUTE)).toBe(first);
  });

  it("gives way to a newer one when it nears its end", () => {
    stableUrl("nears", signed("first", 45), START);
    const next = signed("second", 60);
    expect(stableUrl("nears", next, START + 41 * MINUTE)).toBe(next);
    expect(stableUrl("nears", signed("third", 90), START + 42 * MINUTE)).toBe(next);
  });

  it("does not give way to an older one, nor to its own repetition", () => {
    const newest = signed("newest", 45);
    stableUrl("older", newest, START);
    expect(stableUrl("older", signed("before", 30), START + 44 * MINUTE)).toBe(newest);
    expect(stableUrl("older", newest, START + 44 * MINUTE)).toBe(newest);
  });

  it("is not kept where it says nothing about its end", () => {
    expect(stableUrl("endless", "/c", START)).toBe("/c");
    expect(stableUrl("endless", "/d", START)).toBe("/d");
  });

  it("is forgotten when it did not open", () => {
    stableUrl("lost", signed("first", 45), START);
    forgetUrl("lost");
    const next = signed("second", 45);
    expect(stableUrl("lost", next, START)).toBe(next);
  });
});
