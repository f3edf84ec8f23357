import type { ComponentType } from "react";
import type { KindSpec, Model, Settings } from "../api/types";
import { imageToVideo } from "./image_to_video";
import type { Schema, Values } from "./schema";

export interface PanelProps {
  schema: Schema;
  values: Values;
  onChange: (path: string, value: unknown) => void;
  /** What the server refused, by dotted path. */
  problems: Record<string, string>;
}

/** Everything the page knows about one kind of generation. A new kind adds one of these and nothing else. */
export interface KindPanel {
  Form: ComponentType<PanelProps>;
  /** The member's own words that name a job of this kind in lists; empty when there are none. */
  title: (settings: Values) => string;
  /** "9:16 · 5 s · Orbit left", in `facts` */
  summary: (settings: Values) => string;
  /** Labelled rows of the full settings, in reading order; `used` is what the engine made of them, once it is known. */
  rows: (asked: Values, used: Values | null) => [label: string, value: string][];
  /** Width through height of the video these settings ask for. */
  aspect: (settings: Values) => number;
  /** Frames per second of that video. */
  fps: (values: Values) => number;
  /** The same settings for another result: a new seed. */
  vary: (settings: Settings) => Settings;
}

const PANELS: Record<string, KindPanel> = { image_to_video: imageToVideo };

/** Other kinds are the studio's own chores, such as automatic masks, and of no concern to the page. */
export const isGeneration = (kind: string): boolean => kind in PANELS;

export const panelOf = (kind: string): KindPanel | null => PANELS[kind] ?? null;

/** The kinds that some model offers and this page has a panel for, each as the first such model describes it. */
export function offeredKinds(models: Model[]): Record<string, KindSpec & { model: Model }> {
  const offered: Record<string, KindSpec & { model: Model }> = {};
  for (const model of models) {
    for (const [kind, spec] of Object.entries(model.kinds)) {
      if (kind in PANELS && !(kind in offered)) offered[kind] = { ...spec, model };
    }
  }
  return offered;
}

/** The part of GET /jobs that lists generations, without the studio's own chores such as automatic masks. */
export const generationFilter = (state?: string): string => {
  const query = new URLSearchParams({ kind: Object.keys(PANELS).join(",") });
  if (state) query.set("state", state);
  return query.toString();
};
