import type { PointerEvent } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it, vi } from "vitest";
import type { Tool } from "./StageToolbar";
import type { Mask } from "./useMask";
import { useStagePointer } from "./useStagePointer";

const frame = { left: 0, top: 0, width: 100, height: 100 };
const element = { getBoundingClientRect: () => frame } as HTMLDivElement;

/** A stage with this tool: what its pointers do to the mask. */
function stage(tool: Tool) {
  const change = vi.fn();
  const onView = vi.fn();
  let handlers: ReturnType<typeof useStagePointer>["handlers"] | undefined;
  function Stage() {
    const mask = { change } as unknown as Mask;
    const box = { left: 0, top: 0, width: 100, height: 100 };
    const seen = { photo: { current: element }, stage: { current: element }, mask, box, onView };
    handlers = useStagePointer({
      ...seen,
      tool,
      painting: tool !== "look",
      brush: 0.1,
      zoomed: false,
    }).handlers;
    return null;
  }
  renderToStaticMarkup(<Stage />);
  const said = () => change.mock.calls.map(([action]) => action);
  return { handlers: handlers as NonNullable<typeof handlers>, said };
}

const pointer = (change: Partial<PointerEvent> = {}) =>
  ({
    ...{ pointerId: 1, pointerType: "mouse", button: 0, buttons: 1, clientX: 50, clientY: 20 },
    target: { closest: () => null },
    currentTarget: { setPointerCapture: () => undefined },
    ...change,
  }) as unknown as PointerEvent;

describe("a stroke", () => {
  it("ends when its pointer is lifted, whichever tool is chosen by then", () => {
    const { handlers, said } = stage("look");
    handlers.onPointerDown(pointer());
    handlers.onPointerUp(pointer());
    expect(said()).toEqual([{ type: "end" }]);
    handlers.onPointerUp(pointer());
    expect(said()).toHaveLength(1);
  });

  it("erases with the other end of a pen while the brush is chosen, and is none with its other buttons", () => {
    const { handlers, said } = stage("brush");
    handlers.onPointerDown(pointer({ pointerType: "pen", button: 2, buttons: 2 }));
    expect(said()).toEqual([]);
    handlers.onPointerDown(pointer({ pointerType: "pen", button: 5, buttons: 32 }));
    expect(said()).toMatchObject([{ type: "begin", stroke: { tool: "eraser" } }]);
    handlers.onPointerUp(pointer({ pointerType: "pen", button: 5, buttons: 0 }));
    handlers.onPointerDown(pointer({ pointerType: "pen" }));
    expect(said().at(-1)).toMatchObject({ type: "begin", stroke: { tool: "brush" } });
  });
});
