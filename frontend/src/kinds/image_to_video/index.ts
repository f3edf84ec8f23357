import type { KindPanel } from "..";
import { readField, type Values } from "../schema";
import { Form } from "./Form";
import { randomSeed } from "./seed";
import { CAMERA, SUBJECT, word } from "./words";

function text(values: Values, path: string): string {
  const value = readField<unknown>(values, path);
  return value === undefined || value === null ? "" : String(value);
}

const camera = (values: Values) => word(CAMERA, text(values, "camera.move"));
const subject = (values: Values) => word(SUBJECT, text(values, "subject.motion"));

const seconds = (values: Values) => `${Number(readField<number>(values, "seconds").toFixed(1))} s`;

const withStrength = (name: string, strength: number | undefined) =>
  strength === undefined ? name : `${name}, strength ${strength.toFixed(2)}`;

function rows(values: Values): [string, string][] {
  const all: [string, string][] = [
    ["Format", text(values, "format")],
    ["Length", seconds(values)],
    ["Frames per second", text(values, "fps")],
    ["Shorter side", text(values, "short_side") && `${text(values, "short_side")} px`],
    ["Camera move", withStrength(camera(values), readField(values, "camera.strength"))],
    ["Subject motion", withStrength(subject(values), readField(values, "subject.strength"))],
    ["Prompt", text(values, "prompt")],
    ["Seed", text(values, "seed")],
    ["Steps", text(values, "steps")],
  ];
  return all.filter(([, value]) => value !== "");
}

function aspect(values: Values): number {
  const [width, height] = text(values, "format").split(":").map(Number);
  return width && height ? width / height : 9 / 16;
}

export const imageToVideo: KindPanel = {
  Form,
  title: (values) => text(values, "prompt") || `${camera(values)}, ${subject(values).toLowerCase()}`,
  summary: (values) => [text(values, "format"), seconds(values), camera(values)].join(" · "),
  rows,
  aspect,
  vary: (settings) => ({ ...settings, seed: randomSeed() }),
};
