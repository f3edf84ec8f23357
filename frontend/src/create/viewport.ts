/** How the photo lies in the stage: `scale` times its fitted size, moved by (x, y) CSS pixels. */
export interface Viewport {
  scale: number;
  x: number;
  y: number;
}

export const FITTED: Viewport = { scale: 1, x: 0, y: 0 };
export const MOST_ZOOM = 8;

/** Zooms by `factor` and keeps the stage point (px, py), measured from the stage's centre, where it is. */
export function zoomAt(view: Viewport, factor: number, px: number, py: number): Viewport {
  const scale = Math.min(MOST_ZOOM, Math.max(1, view.scale * factor));
  if (scale === 1) return FITTED;
  const ratio = scale / view.scale;
  return { scale, x: px - (px - view.x) * ratio, y: py - (py - view.y) * ratio };
}

/** Moves a zoomed photo, but never further than half the fitted size (width, height) times the zoom. */
export function panBy(view: Viewport, dx: number, dy: number, width: number, height: number): Viewport {
  if (view.scale === 1) return FITTED;
  const limit = (value: number, most: number) => Math.min(most, Math.max(-most, value));
  return {
    scale: view.scale,
    x: limit(view.x + dx, (width * view.scale) / 2),
    y: limit(view.y + dy, (height * view.scale) / 2),
  };
}

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/**
 * Where to draw the photo in a stage of `stageWidth` x `stageHeight` so that the photo and the window
 * (fractions of the photo; may reach beyond it) are both whole. All in CSS pixels.
 */
export function fitPhoto(
  stageWidth: number,
  stageHeight: number,
  aspect: number,
  window: readonly [number, number, number, number] | null,
): Box {
  const [x0, y0, x1, y1] = window ?? [0, 0, 1, 1];
  const left = Math.min(0, x0);
  const top = Math.min(0, y0);
  const spanX = Math.max(1, x1) - left;
  const spanY = Math.max(1, y1) - top;
  const width = Math.min(stageWidth / spanX, (stageHeight / spanY) * aspect);
  const height = width / aspect;
  return {
    width,
    height,
    left: (stageWidth - width * spanX) / 2 - left * width,
    top: (stageHeight - height * spanY) / 2 - top * height,
  };
}
