import type { Stroke } from "./history";

/** Longest side of the mask that is painted here, in pixels; the server scales it to the photo. */
const LONGEST = 1280;

/** A canvas whose alpha is the mask. */
export type MaskCanvas = HTMLCanvasElement;

export function emptyMask(photoWidth: number, photoHeight: number): MaskCanvas {
  const scale = Math.min(1, LONGEST / Math.max(photoWidth, photoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(photoWidth * scale));
  canvas.height = Math.max(1, Math.round(photoHeight * scale));
  return canvas;
}

const context = (canvas: HTMLCanvasElement, readBack = false): CanvasRenderingContext2D =>
  canvas.getContext("2d", { willReadFrequently: readBack }) as CanvasRenderingContext2D;

/** Loads a gray mask picture into alpha; raises when it cannot be loaded. */
export async function loadMask(url: string, photoWidth: number, photoHeight: number): Promise<MaskCanvas> {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = emptyMask(photoWidth, photoHeight);
  const pen = context(canvas, true);
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
  const data = pixels.data;
  for (let at = 0; at < data.length; at += 4) {
    data[at + 3] = data[at] as number;
    data[at] = data[at + 1] = data[at + 2] = 255;
  }
  pen.putImageData(pixels, 0, 0);
  return canvas;
}

/** Draws the mask and the strokes on it into `target`, which gets the size of the mask. */
export function compose(target: MaskCanvas, base: MaskCanvas, strokes: readonly Stroke[]): void {
  if (target.width !== base.width || target.height !== base.height) {
    target.width = base.width;
    target.height = base.height;
  }
  const pen = context(target);
  pen.globalCompositeOperation = "source-over";
  pen.clearRect(0, 0, target.width, target.height);
  pen.drawImage(base, 0, 0);
  for (const stroke of strokes) drawStroke(pen, stroke, target.width);
}

function drawStroke(pen: CanvasRenderingContext2D, stroke: Stroke, width: number): void {
  pen.globalCompositeOperation = stroke.tool === "brush" ? "source-over" : "destination-out";
  pen.strokeStyle = "#fff";
  pen.lineCap = "round";
  pen.lineJoin = "round";
  pen.lineWidth = Math.max(1, stroke.size * width);
  pen.beginPath();
  const [x, y] = stroke.points as [number, number];
  pen.moveTo(x * width, y * width);
  // A point alone has no length: this draws it as a dab.
  pen.lineTo(x * width + 0.01, y * width);
  for (let at = 2; at < stroke.points.length; at += 2) {
    pen.lineTo((stroke.points[at] as number) * width, (stroke.points[at + 1] as number) * width);
  }
  pen.stroke();
}

const AROUND = [0, 1, 2, 3, 4, 5, 6, 7].map((eighth) => (eighth * Math.PI) / 4);

/** Shows the mask over the photo: a tint of `colour` ("r g b") and a light rim, which is seen on any product. */
export function tint(target: HTMLCanvasElement, mask: MaskCanvas, colour: string, strength: number): void {
  target.width = mask.width;
  target.height = mask.height;
  const pen = context(target);
  const rim = Math.max(1, mask.width / 500);
  for (const angle of AROUND) pen.drawImage(mask, rim * Math.cos(angle), rim * Math.sin(angle));
  pen.globalCompositeOperation = "destination-out";
  pen.drawImage(mask, 0, 0);
  pen.globalCompositeOperation = "destination-over";
  pen.globalAlpha = strength;
  const inside = document.createElement("canvas");
  inside.width = mask.width;
  inside.height = mask.height;
  const fill = context(inside);
  fill.drawImage(mask, 0, 0);
  fill.globalCompositeOperation = "source-in";
  fill.fillStyle = `rgb(${colour})`;
  fill.fillRect(0, 0, inside.width, inside.height);
  pen.drawImage(inside, 0, 0);
  pen.globalAlpha = 1;
}

/** White on black, as the server reads it. */
export function toPng(mask: MaskCanvas): Promise<Blob> {
  const canvas = document.createElement("canvas");
  canvas.width = mask.width;
  canvas.height = mask.height;
  const pen = context(canvas);
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(mask, 0, 0);
  return new Promise((resolve, reject) =>
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error("The mask could not be saved."))),
      "image/png",
    ),
  );
}
