import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import type { Values } from "../schema";
import { Form } from "./Form";

const choice = (values: string[]) => ({ type: "string", enum: values });
const strength = { type: "number", minimum: 0.1, maximum: 1 };

interface Abilities {
  moves: string[];
  motions: string[];
  formats: string[];
}

const whole: Abilities = {
  moves: ["auto", "static", "pan-left", "orbit-left"],
  motions: ["auto", "still", "float", "turn"],
  formats: ["9:16", "1:1", "16:9"],
};

const schemaOf = ({ moves, motions, formats }: Abilities) => ({
  type: "object",
  $defs: {
    Camera: { type: "object", properties: { move: choice(moves), strength } },
    Subject: { type: "object", properties: { motion: choice(motions), strength } },
  },
  properties: {
    format: choice(formats),
    seconds: { type: "number", minimum: 3, maximum: 15 },
    camera: { $ref: "#/$defs/Camera" },
    subject: { allOf: [{ $ref: "#/$defs/Subject" }] },
  },
});

const standard = {
  format: "9:16",
  seconds: 5,
  camera: { move: "auto", strength: 0.6 },
  subject: { motion: "auto", strength: 0.6 },
};

const html = (abilities: Partial<Abilities> = {}, values: Values = standard) =>
  renderToStaticMarkup(
    <Form
      schema={schemaOf({ ...whole, ...abilities })}
      values={values}
      problems={{}}
      onChange={() => undefined}
    />,
  );
const tiles = (page: string) =>
  [...page.matchAll(/type="radio"[^>]*value="([^"]+)"/g)].map(([, value]) => value);

describe("the form of a model that can do less", () => {
  it("shows a tile for each choice of the schema", () => {
    expect(tiles(html())).toEqual([...whole.formats, ...whole.moves, ...whole.motions]);
  });

  it.each([
    { moves: ["auto", "pan-left"] },
    { motions: ["auto", "still"] },
    { formats: ["1:1"] },
  ] as Partial<Abilities>[])("shows fewer tiles (%o)", (less) => {
    const { formats, moves, motions } = { ...whole, ...less };
    expect(tiles(html(less))).toEqual([...formats, ...moves, ...motions]);
  });

  it("shows no section for what the model has not at all", () => {
    const page = html({ motions: [] });
    expect(page).not.toContain("Subject motion");
    expect(page).toContain("Camera move");
  });
});

describe("the strength of a motion", () => {
  const chosen = (move: string, motion: string) =>
    html({}, { ...standard, camera: { move, strength: 0.6 }, subject: { motion, strength: 0.6 } });

  it.each([
    ["auto", "auto"],
    ["static", "still"],
  ])("is not asked where the model takes none (%s, %s)", (move, motion) => {
    const page = chosen(move, motion);
    expect(page).not.toContain("Camera strength");
    expect(page).not.toContain("Subject strength");
  });

  it("is asked for a chosen move and motion", () => {
    const page = chosen("pan-left", "turn");
    expect(page).toContain("Camera strength");
    expect(page).toContain("Subject strength");
  });
});
