import { describe, expect, it } from "vitest";
import type { KindSpec } from "../api/types";
import { bounds, choices, field } from "../kinds/schema";
import { type Draft, type DraftAction, draftReducer, emptyDraft } from "./draft";

const spec = {
  title: "Image to video",
  schema: {
    $defs: {
      Camera: {
        type: "object",
        properties: {
          move: { type: "string", enum: ["auto", "static", "pan-left"] },
          strength: { type: "number", minimum: 0.1, maximum: 1 },
        },
      },
    },
    type: "object",
    properties: {
      format: { type: "string", enum: ["9:16", "1:1"] },
      seconds: { type: "number", minimum: 3, maximum: 15 },
      camera: { $ref: "#/$defs/Camera" },
      prompt: { type: "string", maxLength: 10 },
      seed: { anyOf: [{ type: "integer", minimum: 0, maximum: 2147483647 }, { type: "null" }] },
    },
  },
  defaults: { format: "9:16", seconds: 5, camera: { move: "auto", strength: 0.6 }, prompt: "", seed: null },
} satisfies KindSpec;

const kinds = { image_to_video: spec };
const ready = draftReducer(emptyDraft, { type: "offered", kinds });
const play = (actions: DraftAction[], from: Draft = ready) => actions.reduce(draftReducer, from);
const values = (draft: Draft) => draft.values.image_to_video ?? {};

describe("draft", () => {
  it("starts with the model's defaults and its first kind", () => {
    expect(ready.kind).toBe("image_to_video");
    expect(values(ready)).toEqual(spec.defaults);
  });

  it("changes one nested field and no other", () => {
    const after = play([{ type: "field", path: "camera.move", value: "pan-left" }]);
    expect(values(after)).toEqual({ ...spec.defaults, camera: { move: "pan-left", strength: 0.6 } });
    expect(values(ready)).toEqual(spec.defaults);
  });

  it("takes over the settings of a job, and drops what this model does not know", () => {
    const settings = {
      asset_id: "a7",
      kind: "image_to_video",
      format: "1:1",
      seconds: 40,
      camera: { move: "crane-up", strength: 0.9 },
      prompt: "a very long prompt",
      seed: 7,
      glitter: true,
    };
    const after = play([
      { type: "use", kind: "image_to_video", settings },
      { type: "offered", kinds },
    ]);
    expect(after.assetId).toBe("a7");
    expect(values(after)).toEqual({
      format: "1:1",
      seconds: 15,
      camera: { move: "auto", strength: 0.9 },
      prompt: "a very long prompt",
      seed: 7,
    });
  });

  it("takes the mask from the stage and not from the job", () => {
    const properties = { ...spec.schema.properties, mask: { anyOf: [{ type: "string" }, { type: "null" }] } };
    const masked = {
      ...spec,
      schema: { ...spec.schema, properties },
      defaults: { ...spec.defaults, mask: null },
    };
    const after = play([
      { type: "use", kind: "image_to_video", settings: { seed: 7, mask: "mask-of-that-day" } },
      { type: "offered", kinds: { image_to_video: masked } },
    ]);
    expect(values(after)).toMatchObject({ seed: 7, mask: null });
  });

  it("does not believe values of a wrong type or NaN", () => {
    const settings = { seconds: Number.NaN, prompt: 5, seed: "x", camera: null, format: 3 };
    const after = play([
      { type: "use", kind: "image_to_video", settings },
      { type: "offered", kinds },
    ]);
    expect(values(after)).toEqual(spec.defaults);
  });

  it("goes back to the defaults and keeps the photo", () => {
    const after = play([
      { type: "photo", assetId: "a1" },
      { type: "field", path: "seconds", value: 9 },
      { type: "defaults" },
      { type: "offered", kinds },
    ]);
    expect(after.assetId).toBe("a1");
    expect(values(after)).toEqual(spec.defaults);
  });

  it("takes the defaults back whole, prompt and seed too, whichever photo was chosen since", () => {
    const written = play([
      { type: "field", path: "prompt", value: "slow orbit" },
      { type: "field", path: "seed", value: 7 },
    ]);
    const back = play(
      [
        { type: "defaults" },
        { type: "photo", assetId: "a2" },
        { type: "use", kind: "image_to_video", settings: values(written) },
      ],
      written,
    );
    expect([values(back), back.assetId]).toEqual([values(written), "a2"]);
  });

  it("lets go of a photo that was deleted, and of no other", () => {
    const chosen = play([{ type: "photo", assetId: "a1" }]);
    expect(play([{ type: "deleted", assetId: "a2" }], chosen).assetId).toBe("a1");
    expect(play([{ type: "deleted", assetId: "a1" }], chosen).assetId).toBeNull();
  });

  it("has no kind where no model offers one that the page knows", () => {
    expect(draftReducer(ready, { type: "offered", kinds: {} })).toMatchObject({ kind: null, values: {} });
  });
});

describe("schema", () => {
  it("reads choices and bounds through references and optional fields", () => {
    expect(choices(spec.schema, "camera.move")).toEqual(["auto", "static", "pan-left"]);
    expect(bounds(spec.schema, "seed", { min: 0, max: 1 })).toEqual({ min: 0, max: 2147483647 });
    expect(bounds(spec.schema, "camera.strength", { min: 0, max: 9 })).toEqual({ min: 0.1, max: 1 });
  });

  it("tells that a field is not there", () => {
    expect(field(spec.schema, "subject.motion")).toBeNull();
    expect(choices(spec.schema, "subject.motion")).toEqual([]);
  });
});
