import { describe, expect, it } from "vitest";
import type { Asset } from "../api/types";
import { answerTo, arrival } from "./arrival";

const mask = (id: string, source: "auto" | "alpha" | "brush") => ({ id, source }) as Asset["mask"];

describe("a mask that the studio tells of", () => {
  it("is the one on the stage under the same id, whatever its address", () => {
    expect(arrival("mask-1", mask("mask-1", "brush"))).toBe("same");
    expect(arrival("auto", mask("auto", "auto"))).toBe("same");
    expect(arrival("auto", null)).toBe("same");
  });

  it("is found when the automatic one was waited for", () => {
    expect(arrival("auto", mask("mask-2", "auto"))).toBe("found");
    expect(arrival("auto", mask("mask-alpha", "alpha"))).toBe("found");
  });

  it("is from elsewhere when it was painted or reset there", () => {
    expect(arrival("mask-1", mask("mask-2", "brush"))).toBe("elsewhere");
    expect(arrival("auto", mask("mask-2", "brush"))).toBe("elsewhere");
    expect(arrival("mask-1", mask("auto", "auto"))).toBe("elsewhere");
  });
});

describe("what is done about it", () => {
  const found = mask("mask-2", "auto");
  const other = mask("mask-2", "brush");
  const standing = { shown: true, unsaved: false, doubtful: false };

  it("takes nothing from what is painted, undone or half drawn when the automatic one is found", () => {
    for (const unsaved of [false, true])
      expect(answerTo("auto", found, { ...standing, unsaved })).toBe("know");
  });

  it("shows one from elsewhere, unless that would throw away what is not saved", () => {
    expect(answerTo("mask-1", other, standing)).toBe("open");
    expect(answerTo("mask-1", other, { ...standing, unsaved: true })).toBe("warn");
  });

  it("is nothing while the mask is not loaded, is the same, or may be from here", () => {
    expect(answerTo("mask-1", other, { ...standing, shown: false })).toBe("nothing");
    expect(answerTo("mask-2", other, { ...standing, unsaved: true })).toBe("nothing");
    expect(answerTo("mask-1", other, { ...standing, unsaved: true, doubtful: true })).toBe("nothing");
  });
});
