/** The words for what can be chosen. A value without one is shown as it is written. */

export const CAMERA: Record<string, string> = {
  auto: "Auto",
  static: "Static",
  "pan-left": "Pan left",
  "pan-right": "Pan right",
  "tilt-up": "Tilt up",
  "tilt-down": "Tilt down",
  "dolly-in": "Dolly in",
  "dolly-out": "Dolly out",
  "orbit-left": "Orbit left",
  "orbit-right": "Orbit right",
  "roll-left": "Roll left",
  "roll-right": "Roll right",
};

export const CAMERA_HINT: Record<string, string> = {
  auto: "The prompt decides, or else the model",
  static: "The camera stands still",
  "pan-left": "The camera turns to the left",
  "pan-right": "The camera turns to the right",
  "tilt-up": "The camera looks up",
  "tilt-down": "The camera looks down",
  "dolly-in": "The camera moves closer",
  "dolly-out": "The camera moves away",
  "orbit-left": "The camera circles the product to the left",
  "orbit-right": "The camera circles the product to the right",
  "roll-left": "The camera leans to the left",
  "roll-right": "The camera leans to the right",
};

export const SUBJECT: Record<string, string> = {
  auto: "Auto",
  still: "Still",
  float: "Float",
  turn: "Turn",
  "light-sweep": "Light sweep",
};

export const SUBJECT_HINT: Record<string, string> = {
  auto: "The prompt decides, or else the model",
  still: "The product stands still",
  float: "The product hovers gently",
  turn: "The product turns a little",
  "light-sweep": "A light passes over the product",
};

export const FORMAT_HINT: Record<string, string> = {
  "9:16": "Reels, Stories, TikTok, Shorts",
  "4:5": "Feed",
  "1:1": "Square",
  "16:9": "Wide: YouTube, web",
};

export const word = (words: Record<string, string>, value: string): string => words[value] ?? value;

/** Whether a chosen motion can be more or less: standing still cannot, and Auto takes no word on it. */
export const hasStrength = (choice: string): boolean => !["auto", "static", "still"].includes(choice);
