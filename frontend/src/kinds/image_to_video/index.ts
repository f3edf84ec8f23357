import { facts, percent } from "../../ui/format";
import type { KindPanel } from "..";
import { readField, type Values } from "../schema";
import { Form } from "./Form";
import { outcome } from "./outcome";
import { randomSeed } from "./seed";
import { CAMERA, hasStrength, SUBJECT, word } from "./words";

function text(values: Values, path: string): string {
  const value = readField<unknown>(values, path);
  return value === undefined || value === null ? "" : String(value);
}

const camera = (values: Values) => word(CAMERA, text(values, "camera.move"));
const subject = (values: Values) => word(SUBJECT, text(values, "subject.motion"));

const seconds = (values: Values) => `${Number(readField<number>(values, "seconds").toFixed(1))} s`;

/** "Orbit left, 60 %"; what is not moved has no strength, and what Auto does follows from elsewhere. */
function motion(name: string, chosen: string, strength: number | undefined): string {
  return hasStrength(chosen) && strength !== undefined ? `${name}, ${percent(strength)}` : name;
}

function rows(asked: Values, used: Values | null): [string, string][] {
  const values = { ...used, ...asked, seed: used?.seed ?? asked.seed };
  const all: [string, string][] = [
    ["Format", text(values, "format")],
    ["Length", seconds(values)],
    ["Frames per second", text(values, "fps")],
    ["Shorter side", text(values, "short_side") && `${text(values, "short_side")} px`],
    [
      "Camera move",
      motion(camera(values), text(values, "camera.move"), readField(values, "camera.strength")),
    ],
    [
      "Subject motion",
      motion(subject(values), text(values, "subject.motion"), readField(values, "subject.strength")),
    ],
    ["Prompt", text(values, "prompt")],
    ...(used ? outcome(asked, used) : []),
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
  title: (values) => text(values, "prompt"),
  summary: (values) => facts(text(values, "format"), seconds(values), camera(values)),
  rows,
  aspect,
  fps: (values) => Number(text(values, "fps")) || 24,
  vary: (settings) => ({ ...settings, seed: randomSeed() }),
};
