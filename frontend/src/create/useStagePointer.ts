import { type PointerEvent, type RefObject, useEffect, useRef, useState } from "react";
import type { Stroke } from "./history";
import type { Tool } from "./StageToolbar";
import type { Mask } from "./useMask";
import { type Box, panBy, type Viewport, zoomAt } from "./viewport";

interface Options {
  photo: RefObject<HTMLDivElement | null>;
  stage: RefObject<HTMLDivElement | null>;
  painting: boolean;
  tool: Tool;
  brush: number;
  mask: Mask;
  box: Box;
  zoomed: boolean;
  onView: (change: (view: Viewport) => Viewport) => void;
}

interface Point {
  x: number;
  y: number;
}

/** The other end of a pen, as pointer events number it. */
const ERASER = 5;

/** One pointer paints or moves the photo, two pinch; the wheel zooms with Ctrl and pans when zoomed. */
export function useStagePointer({ photo, stage, painting, tool, brush, mask, box, zoomed, onView }: Options) {
  const down = useRef(new Map<number, Point>());
  const [cursor, setCursor] = useState<Point | null>(null);

  const inStage = (event: { clientX: number; clientY: number }): Point => {
    const frame = (stage.current as HTMLDivElement).getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  };
  const fromCentre = (point: Point): Point => {
    const frame = (stage.current as HTMLDivElement).getBoundingClientRect();
    return { x: point.x - frame.width / 2, y: point.y - frame.height / 2 };
  };
  /** In fractions of the photo's width, as strokes are kept. */
  const onPhoto = (event: { clientX: number; clientY: number }): [number, number] => {
    const frame = (photo.current as HTMLDivElement).getBoundingClientRect();
    return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.width];
  };

  const begin = (event: PointerEvent) => {
    if (event.button !== 0 && event.button !== ERASER) return;
    if ((event.target as HTMLElement).closest("button, a, input, [role=alert]")) return;
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    down.current.set(event.pointerId, inStage(event));
    if (down.current.size > 1) mask.change({ type: "abandon" });
    else if (painting) {
      const kind = event.button === ERASER ? "eraser" : (tool as Stroke["tool"]);
      mask.change({ type: "begin", stroke: { tool: kind, size: brush, points: onPhoto(event) } });
    }
  };

  const move = (event: PointerEvent) => {
    const before = down.current.get(event.pointerId);
    const now = inStage(event);
    if (event.pointerType !== "touch" || before) setCursor(now);
    if (!before) return;
    if (down.current.size === 2) pinch(event.pointerId, before, now);
    else if (!painting)
      onView((view) => panBy(view, now.x - before.x, now.y - before.y, box.width, box.height));
    else {
      const all = event.nativeEvent.getCoalescedEvents?.() ?? [];
      mask.change({ type: "extend", points: (all.length > 0 ? all : [event]).flatMap(onPhoto) });
    }
    down.current.set(event.pointerId, now);
  };

  const pinch = (moved: number, before: Point, now: Point) => {
    const other = [...down.current].find(([id]) => id !== moved)?.[1];
    if (!other) return;
    const apart = (point: Point) => Math.hypot(point.x - other.x, point.y - other.y);
    const middle = fromCentre({ x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    const factor = apart(now) / Math.max(1, apart(before));
    onView((view) =>
      panBy(
        zoomAt(view, factor, middle.x, middle.y),
        (now.x - before.x) / 2,
        (now.y - before.y) / 2,
        box.width,
        box.height,
      ),
    );
  };

  const end = (event: PointerEvent) => {
    if (!down.current.delete(event.pointerId)) return;
    // Also when the tool was changed meanwhile: what is seen is kept.
    mask.change({ type: "end" });
    if (event.pointerType === "touch") setCursor(null);
  };

  useWheel(stage, (event) => {
    const point = fromCentre(inStage(event));
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      onView((view) => zoomAt(view, Math.exp(-event.deltaY * 0.01), point.x, point.y));
      return;
    }
    if (!zoomed) return;
    event.preventDefault();
    onView((view) => panBy(view, -event.deltaX, -event.deltaY, box.width, box.height));
  });

  const handlers = {
    onPointerDown: begin,
    onPointerMove: move,
    onPointerUp: end,
    onPointerCancel: end,
    onPointerLeave: () => setCursor(null),
  };
  return { handlers, cursor };
}

/** React listens to wheels passively, where they cannot be kept from scrolling the page. */
function useWheel(stage: RefObject<HTMLDivElement | null>, onWheel: (event: WheelEvent) => void): void {
  const latest = useRef(onWheel);
  latest.current = onWheel;
  useEffect(() => {
    const element = stage.current;
    const listen = (event: WheelEvent) => latest.current(event);
    element?.addEventListener("wheel", listen, { passive: false });
    return () => element?.removeEventListener("wheel", listen);
  }, [stage]);
}
