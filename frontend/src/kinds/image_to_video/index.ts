import { facts, percent } from "../../ui/format";
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

/** "Orbit left, 60 %", and whether it was left to the prompt and the model. */
function move(name: string, strength: number | undefined, asked: string, used: string): string {
  const chosen = asked === "auto" && used !== "auto" ? `${name} (chosen by Auto)` : name;
  const moves = !["static", "still", "auto"].includes(used);
  return moves && strength !== undefined ? `${chosen}, ${percent(strength)}` : chosen;
}

function rows(asked: Values, used: Values | null): [string, string][] {
  const values = { ...asked, ...used };
  const cameraMove = [text(asked, "camera.move"), text(values, "camera.move")] as const;
  const subjectMotion = [text(asked, "subject.motion"), text(values, "subject.motion")] as const;
  const all: [string, string][] = [
    ["Format", text(values, "format")],
    ["Length", seconds(values)],
    ["Frames per second", text(values, "fps")],
    ["Shorter side", text(values, "short_side") && `${text(values, "short_side")} px`],
    ["Camera move", move(camera(values), readField(values, "camera.strength"), ...cameraMove)],
    ["Subject motion", move(subject(values), readField(values, "subject.strength"), ...subjectMotion)],
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
  title: (values) => text(values, "prompt"),
  summary: (values) => facts(text(values, "format"), seconds(values), camera(values)),
  rows,
  aspect,
  vary: (settings) => ({ ...settings, seed: randomSeed() }),
};
