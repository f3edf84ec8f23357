import { describe, expect, it } from "vitest";
import type { Asset } from "../api/types";
import { arrival } from "./arrival";

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
