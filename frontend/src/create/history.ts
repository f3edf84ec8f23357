/** A brush stroke in the photo's own measure: points and size are fractions of its width. */
export interface Stroke {
  tool: "brush" | "eraser";
  size: number;
  /** x0, y0, x1, y1 ...; y in fractions of the photo's width too, so that a dab is round. */
  points: readonly number[];
}

export type Step = { type: "stroke"; stroke: Stroke } | { type: "reset" };

/** What was painted on the mask that the page opened with; `undone` waits for redo, newest last. */
export interface History {
  steps: readonly Step[];
  undone: readonly Step[];
  drawing: Stroke | null;
}

export type HistoryAction =
  | { type: "begin"; stroke: Stroke }
  | { type: "extend"; points: readonly number[] }
  | { type: "end" }
  | { type: "abandon" }
  | { type: "undo" }
  | { type: "redo" }
  | { type: "reset" }
  | { type: "open" };

export const emptyHistory: History = { steps: [], undone: [], drawing: null };

export function historyReducer(history: History, action: HistoryAction): History {
  const { steps, undone, drawing } = history;
  switch (action.type) {
    case "begin":
      return { ...history, drawing: action.stroke };
    case "extend":
      if (!drawing) return history;
      return { ...history, drawing: { ...drawing, points: [...drawing.points, ...action.points] } };
    case "end":
      if (!drawing) return history;
      return { steps: [...steps, { type: "stroke", stroke: drawing }], undone: [], drawing: null };
    case "abandon":
      return { ...history, drawing: null };
    case "undo": {
      const last = steps.at(-1);
      if (!last || drawing) return history;
      return { ...history, steps: steps.slice(0, -1), undone: [...undone, last] };
    }
    case "redo": {
      const next = undone.at(-1);
      if (!next || drawing) return history;
      return { ...history, steps: [...steps, next], undone: undone.slice(0, -1) };
    }
    case "reset":
      if (steps.at(-1)?.type === "reset") return history;
      return { steps: [...steps, { type: "reset" }], undone: [], drawing: null };
    case "open":
      return emptyHistory;
  }
}

/** The strokes to draw, and whether they lie on the automatic mask or on the one the page opened with. */
export function visible(history: History): { base: "opened" | "automatic"; strokes: Stroke[] } {
  const reset = history.steps.findLastIndex((step) => step.type === "reset");
  const strokes = history.steps
    .slice(reset + 1)
    .flatMap((step) => (step.type === "stroke" ? [step.stroke] : []));
  if (history.drawing) strokes.push(history.drawing);
  return { base: reset >= 0 ? "automatic" : "opened", strokes };
}

/** What the server should hold now: the mask as opened, its own automatic one, or the painted one. */
export function wanted(history: History): "opened" | "automatic" | "painted" {
  const { base, strokes } = visible({ ...history, drawing: null });
  return strokes.length > 0 ? "painted" : base;
}
