import { describe, expect, it } from "vitest";
import { ApiError } from "../api/client";
import { attemptAt, attemptEnded } from "./attempt";

const lost = [
  new ApiError(0, "offline", "No answer."),
  new ApiError(500, "internal_error", "It broke."),
  new ApiError(503, "model_unavailable", "It broke."),
  new SyntaxError("Half an answer."),
];

describe("an attempt", () => {
  it.each(lost)("is the same again, seed and all, after a lost answer (%s)", (error) => {
    const first = attemptAt("j1 vary", { seed: 7 });
    attemptEnded("j1 vary", error);
    expect(attemptAt("j1 vary", { seed: 8 })).toEqual({ name: first.name, body: { seed: 7 } });
    attemptEnded("j1 vary");
  });

  it("is a new one after the job was made, or refused", () => {
    const first = attemptAt("j1 again", {});
    attemptEnded("j1 again");
    const second = attemptAt("j1 again", {});
    expect(second.name).not.toBe(first.name);
    attemptEnded("j1 again", new ApiError(422, "validation_failed", "No."));
    expect(attemptAt("j1 again", {}).name).not.toBe(second.name);
    attemptEnded("j1 again");
  });

  it("belongs to one action", () => {
    expect(attemptAt("j1 again", {}).name).not.toBe(attemptAt("j2 again", {}).name);
  });
});
