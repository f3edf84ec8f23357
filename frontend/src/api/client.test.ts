import { describe, expect, it } from "vitest";
import { ApiError, sentence } from "./client";

const DETAIL = "Correct these fields and send the request again: settings.asset_id.";

const refused = (...errors: [field: string, detail: string][]) =>
  sentence(
    new ApiError(
      422,
      "validation_failed",
      DETAIL,
      errors.map(([field, detail]) => ({ field, code: "x", detail })),
    ),
  );

describe("the sentence of a refusal", () => {
  it("tells what is wrong with each field, under its own name", () => {
    expect(refused(["settings.prompt", "Shorten this to 2000 characters or fewer."])).toBe(
      "Prompt: Shorten this to 2000 characters or fewer.",
    );
    expect(refused(["email", "Enter a valid address."], ["settings.short_side", "Choose one of 540."])).toBe(
      "E-mail: Enter a valid address. Short side: Choose one of 540.",
    );
    expect(refused(["colours.0", "Give a colour."], ["colours.1", "Give a colour."])).toBe(
      "Colours: Give a colour.",
    );
  });

  it("needs no name where it speaks of a photo, a file or all of it", () => {
    const gone = "There is no photo with this id in your workspace.";
    expect(refused(["settings.asset_id", gone])).toBe(gone);
    expect(refused(["file", "The picture is animated."])).toBe("The picture is animated.");
    expect(refused(["body", "Send the mask."])).toBe("Send the mask.");
  });

  it("is the studio's own where no field is named", () => {
    expect(refused()).toBe(DETAIL);
    expect(sentence("?")).toBe("Something went wrong. Please try again.");
  });
});
