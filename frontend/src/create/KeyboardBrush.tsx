import { type KeyboardEvent, useCallback, useEffect, useRef, useState } from "react";
import type { Asset } from "../api/types";
import type { Tool } from "./StageToolbar";
import type { Mask } from "./useMask";
import type { Box, Viewport } from "./viewport";

interface Props {
  mask: Mask;
  tool: Tool;
  brush: number;
  asset: Asset;
  box: Box;
  view: Viewport;
  /** Middle of the stage in CSS pixels, which is where zooming starts from. */
  centre: { x: number; y: number };
}

const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Painting without a pointer: arrows move a brush of its own, Space holds it down. */
export function KeyboardBrush({ mask, tool, brush, asset, box, view, centre }: Props) {
  const tall = asset.height / asset.width;
  const [at, setAt] = useState<[number, number]>([0.5, tall / 2]);
  const [focused, setFocused] = useState(false);
  const held = useRef(false);
  const { change } = mask;

  const keyDown = (event: KeyboardEvent) => {
    const arrow = ARROWS[event.key];
    if (event.key === " " && !held.current && tool !== "look") {
      event.preventDefault();
      held.current = true;
      change({ type: "begin", stroke: { tool, size: brush, points: at } });
    } else if (event.key === " ") event.preventDefault();
    if (!arrow) return;
    event.preventDefault();
    const step = event.shiftKey ? brush : brush / 4;
    const next: [number, number] = [
      Math.min(1, Math.max(0, at[0] + arrow[0] * step)),
      Math.min(tall, Math.max(0, at[1] + arrow[1] * step)),
    ];
    setAt(next);
    if (held.current) change({ type: "extend", points: next });
  };

  const release = useCallback(() => {
    if (held.current) change({ type: "end" });
    held.current = false;
  }, [change]);
  // With the tool changed the brush is gone, and hears neither the key that is let go nor that it lost the focus.
  useEffect(() => release, [release]);

  const diameter = brush * box.width * view.scale;
  const x = (24 + box.left + at[0] * box.width - centre.x) * view.scale + view.x + centre.x;
  const y = (24 + box.top + at[1] * box.width - centre.y) * view.scale + view.y + centre.y;
  return (
    <div
      className="keyboard-brush"
      role="application"
      aria-roledescription="brush"
      aria-label={`${tool === "eraser" ? "Eraser" : "Brush"} on the mask. Arrow keys move it, Space paints, brackets change its size.`}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it takes keys
      tabIndex={0}
      onKeyDown={keyDown}
      onKeyUp={(event) => event.key === " " && release()}
      onFocus={() => setFocused(true)}
      onBlur={() => {
        setFocused(false);
        release();
      }}
    >
      {focused && (
        <span
          className="brush-cursor brush-cursor-keys"
          style={{
            width: diameter,
            height: diameter,
            transform: `translate(${x - diameter / 2}px, ${y - diameter / 2}px)`,
          }}
        />
      )}
    </div>
  );
}
