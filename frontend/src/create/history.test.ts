import { describe, expect, it } from "vitest";
import {
  emptyHistory,
  type History,
  type HistoryAction,
  historyReducer,
  type Stroke,
  visible,
  wanted,
} from "./history";

const stroke = (size: number): Stroke => ({ tool: "brush", size, points: [0.1, 0.1] });
const paint = (size: number): HistoryAction[] => [{ type: "begin", stroke: stroke(size) }, { type: "end" }];
const play = (actions: HistoryAction[], from: History = emptyHistory) => actions.reduce(historyReducer, from);
const sizes = (history: History) => visible(history).strokes.map((one) => one.size);

describe("brush history", () => {
  it("collects a stroke while it is drawn and keeps it when it ends", () => {
    const drawing = play([
      { type: "begin", stroke: stroke(1) },
      { type: "extend", points: [0.2, 0.2, 0.3, 0.3] },
    ]);
    expect(visible(drawing).strokes[0]?.points).toEqual([0.1, 0.1, 0.2, 0.2, 0.3, 0.3]);
    expect(wanted(drawing)).toBe("opened");
    expect(wanted(play([{ type: "end" }], drawing))).toBe("painted");
  });

  it("undoes and redoes in order", () => {
    const two = play([...paint(1), ...paint(2)]);
    const none = play([{ type: "undo" }, { type: "undo" }], two);
    expect(sizes(none)).toEqual([]);
    expect(wanted(none)).toBe("opened");
    expect(sizes(play([{ type: "redo" }], none))).toEqual([1]);
    expect(play([{ type: "redo" }, { type: "redo" }], none)).toEqual(two);
  });

  it("forgets what was undone once something new is painted", () => {
    const after = play([...paint(1), { type: "undo" }, ...paint(2), { type: "redo" }]);
    expect(sizes(after)).toEqual([2]);
  });

  it("does nothing at either end, nor in the middle of a stroke", () => {
    expect(play([{ type: "undo" }])).toEqual(emptyHistory);
    expect(play([{ type: "redo" }])).toEqual(emptyHistory);
    const drawing = play([...paint(1), { type: "begin", stroke: stroke(2) }]);
    expect(play([{ type: "undo" }], drawing)).toBe(drawing);
  });

  it("abandons a stroke that became a pinch", () => {
    expect(play([{ type: "begin", stroke: stroke(1) }, { type: "abandon" }])).toEqual(emptyHistory);
  });

  it("resets to the automatic mask as a step that can be undone", () => {
    const reset = play([...paint(1), { type: "reset" }]);
    expect(visible(reset)).toEqual({ base: "automatic", strokes: [] });
    expect(wanted(reset)).toBe("automatic");
    const onTop = play(paint(3), reset);
    expect(visible(onTop)).toMatchObject({ base: "automatic" });
    expect(sizes(onTop)).toEqual([3]);
    expect(sizes(play([{ type: "undo" }], reset))).toEqual([1]);
  });

  it("does not pile up resets", () => {
    const once = play([{ type: "reset" }]);
    expect(play([{ type: "reset" }], once)).toBe(once);
  });
});
