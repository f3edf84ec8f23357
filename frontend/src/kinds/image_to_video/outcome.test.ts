import { describe, expect, it } from "vitest";
import { facts, whole } from "../../ui/format";
import { imageToVideo } from ".";

const asked = {
  format: "9:16",
  seconds: 5,
  fps: 24,
  camera: { move: "auto", strength: 0.6 },
  subject: { motion: "float", strength: 0.4 },
  prompt: "slow orbit to the left",
  seed: null,
  steps: 12,
};
const used = {
  ...asked,
  seed: 7,
  decided_by: { camera: "prompt", subject: "control" },
  measured: { pan: 0.061, tilt: -0.001, zoom: -0.08, roll: 1.25, parallax: 0, light: 0 },
};
const rows = (before: object, after: object | null) =>
  Object.fromEntries(imageToVideo.rows(before as typeof asked, after as typeof asked | null));

describe("the settings of a finished video", () => {
  it("tell who decided each motion and what came of it", () => {
    expect(rows(asked, used)).toMatchObject({
      "Camera move": "Auto",
      "Camera decided by": "The prompt",
      "Subject motion": "Float, 40 %",
      "Subject decided by": "Your choice",
      "Measured motion": facts(...["6 % to the right", "8 % smaller", "1.3° clockwise"].map(whole)),
      Seed: "7",
    });
  });

  it("tell what the prompt was read as, where the engine says so", () => {
    expect(rows(asked, { ...used, understood: { camera: "orbit-left", subject: "auto" } })).toMatchObject({
      "Prompt read as": "Orbit left",
    });
    const longer = { camera: { move: "orbit-left" }, subject: { motion: "float" } };
    expect(rows(asked, { ...used, understood: longer })["Prompt read as"]).toBe(facts("Orbit left", "Float"));
    expect(rows(asked, used)).not.toHaveProperty("Prompt read as");
  });

  it("tell that framing reduced a move, and keep what was asked", () => {
    const pan = { ...asked, camera: { move: "pan-left", strength: 0.8 } };
    for (const applied_strength of [0.5, { camera: 0.5 }]) {
      const told = rows(pan, { ...used, camera: pan.camera, applied_strength });
      expect(told["Camera move"]).toBe("Pan left, 80 %");
      expect(told["Camera moved at"]).toBe(
        "50 % instead of 80 %, so that no edge shows and the product stays in the picture",
      );
    }
    const still = { ...asked, camera: { move: "static", strength: 0.6 } };
    const shortened = { ...used, camera: still.camera, applied_strength: 0.36 };
    expect(rows(still, shortened)).not.toHaveProperty("Camera moved at");
    expect(rows(pan, { ...used, applied_strength: 0.8 })).not.toHaveProperty("Camera moved at");
    expect(rows(asked, { ...used, applied_strength: null })).not.toHaveProperty("Camera moved at");
  });

  it("say nothing of an outcome before there is one", () => {
    expect(rows(asked, null)).not.toHaveProperty("Camera decided by");
    expect(rows(asked, { ...used, measured: {} })["Measured motion"]).toBe("Next to none");
  });
});
