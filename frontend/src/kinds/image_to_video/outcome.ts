/** What the engine tells of how a video came about, beside the settings that were asked for. */

import { facts, percent, whole } from "../../ui/format";
import { readField, type Values } from "../schema";
import { CAMERA, SUBJECT, word } from "./words";

const DECIDERS: Record<string, string> = {
  control: "Your choice",
  prompt: "The prompt",
  model: "The model",
};

export function outcome(asked: Values, used: Values): [string, string][] {
  return [
    ["Camera decided by", decider(used, "camera")],
    ["Camera moved at", reduced(asked, used)],
    ["Subject decided by", decider(used, "subject")],
    ["Prompt read as", understood(used)],
    ["Measured motion", measured(used)],
  ];
}

function decider(used: Values, what: string): string {
  const by = readField<string | undefined>(used, `decided_by.${what}`);
  return by === undefined ? "" : (DECIDERS[by] ?? by);
}

/** Only where framing took something from what was asked; a still camera has no move to be reduced. */
function reduced(asked: Values, used: Values): string {
  if (readField<string | undefined>(asked, "camera.move") === "static") return "";
  const wanted = readField<number | undefined>(asked, "camera.strength");
  const told = used.applied_strength;
  const applied = typeof told === "number" ? told : readField<unknown>(used, "applied_strength.camera");
  if (typeof applied !== "number" || wanted === undefined || wanted - applied < 0.005) return "";
  return `${percent(applied)} instead of ${percent(wanted)}, so that no edge shows and the product stays in the picture`;
}

function understood(used: Values): string {
  const camera = readAs(used, "camera", "move", CAMERA);
  const subject = readAs(used, "subject", "motion", SUBJECT);
  return facts(camera, subject);
}

/** A name, or an object with the name under `field`. */
function readAs(used: Values, what: string, field: string, words: Record<string, string>): string | null {
  const told = readField<unknown>(used, `understood.${what}`);
  const name = typeof told === "string" ? told : readField<unknown>(used, `understood.${what}.${field}`);
  return typeof name === "string" && name !== "auto" ? word(words, name) : null;
}

/** [name, word for more than 0, word for less, how it is written, what is too little to tell] */
const MEASURES: [string, string, string, (value: number) => string, number][] = [
  ["pan", "to the right", "to the left", percent, 0.005],
  ["tilt", "down", "up", percent, 0.005],
  ["zoom", "larger", "smaller", percent, 0.005],
  ["roll", "clockwise", "counterclockwise", (value) => `${value.toFixed(1)}°`, 0.1],
  ["parallax", "depth", "depth", percent, 0.005],
  ["light", "light", "light", percent, 0.01],
];

/** "6 % to the right · 8 % larger": how the picture itself travels. */
function measured(used: Values): string {
  if (typeof used.measured !== "object" || used.measured === null) return "";
  const found = MEASURES.map(([name, more, less, write, least]) => {
    const value = readField<number | undefined>(used, `measured.${name}`);
    if (value === undefined || Math.abs(value) < least) return null;
    return whole(`${write(Math.abs(value))} ${value > 0 ? more : less}`);
  });
  return facts(...found) || "Next to none";
}
