import { describe, expect, it } from "vitest";
import { ApiError } from "../api/client";
import { problemOf } from "./useGenerate";

const refused = (field: string) =>
  new ApiError(422, "validation_failed", "Correct it.", [{ field, code: "x", detail: "Shorten this." }]);

describe("an error of Generate", () => {
  it.each([
    new ApiError(0, "offline", "No answer."),
    new ApiError(500, "internal_error", "It broke."),
    new ApiError(502, "error", "The studio answered with an error (502)."),
    new SyntaxError("Half an answer."),
  ])("does not deny what may have happened (%s)", (error) => {
    expect(problemOf(error, true)).toMatchObject({ title: "No answer came" });
    expect(problemOf(error, true).text).toContain("Press Generate again");
  });

  it("says that nothing was started where that is sure", () => {
    const unsaved = problemOf(new ApiError(0, "offline", "No answer."), false);
    expect(unsaved).toMatchObject({ title: "Nothing was started", text: "No answer." });
    const prompt = problemOf(refused("settings.prompt"), true);
    expect(prompt).toMatchObject({ title: "Nothing was started", text: "Prompt: Shorten this." });
    expect(prompt.fields).toEqual({ prompt: "Shorten this." });
    expect(prompt.maskIsGone).toBe(false);
  });

  it.each([
    new ApiError(503, "database_unavailable", "Nothing was lost; wait a few seconds and try again."),
    new ApiError(503, "model_unavailable", "The model cannot be loaded."),
    new ApiError(507, "disk_full", "Ask its administrator to make room, then try again."),
  ])("gives the studio's own advice where it has some (%s)", (error) => {
    expect(problemOf(error, true)).toMatchObject({ title: "Nothing was started", text: error.message });
  });

  it("leads to the new mask where the one on the stage is no more", () => {
    const gone = problemOf(refused("settings.mask"), true);
    expect(gone).toMatchObject({ title: "Nothing was started", maskIsGone: true });
    expect(gone.text).toContain("changed elsewhere");
  });
});
