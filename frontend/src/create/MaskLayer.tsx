import { useEffect, useRef } from "react";
import { compose, tint } from "./maskPixels";
import type { Mask } from "./useMask";

/** The mask as a tint of the accent colour over the photo. */
export function MaskLayer({ mask, shown, strong }: { mask: Mask; shown: boolean; strong: boolean }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const work = useRef<HTMLCanvasElement | null>(null);
  const { base, strokes } = mask;

  useEffect(() => {
    if (!base) return;
    const frame = requestAnimationFrame(() => {
      work.current ??= document.createElement("canvas");
      compose(work.current, base, strokes);
      if (canvas.current) {
        const colour = getComputedStyle(canvas.current).getPropertyValue("--mask");
        tint(canvas.current, work.current, colour, strong ? 0.55 : 0.28);
      }
    });
    return () => cancelAnimationFrame(frame);
  }, [base, strokes, strong]);

  if (!base) return null;
  return (
    <canvas
      ref={canvas}
      className={shown ? "mask-layer" : "mask-layer mask-hidden"}
      data-testid="mask-layer"
    />
  );
}
