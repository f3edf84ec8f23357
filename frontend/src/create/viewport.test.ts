import { describe, expect, it } from "vitest";
import { FITTED, fitPhoto, MOST_ZOOM, panBy, zoomAt } from "./viewport";

describe("viewport", () => {
  it("keeps the point under the pointer when it zooms", () => {
    const view = { scale: 2, x: 30, y: -10 };
    const after = zoomAt(view, 1.5, 40, 25);
    expect((40 - after.x) / after.scale).toBeCloseTo((40 - view.x) / view.scale);
    expect((25 - after.y) / after.scale).toBeCloseTo((25 - view.y) / view.scale);
  });

  it("stays between fitted and the most", () => {
    expect(zoomAt({ scale: 1.1, x: 50, y: 50 }, 0.5, 10, 10)).toEqual(FITTED);
    expect(zoomAt(FITTED, 100, 0, 0).scale).toBe(MOST_ZOOM);
  });

  it("does not lose the photo out of sight", () => {
    expect(panBy({ scale: 2, x: 0, y: 0 }, 9999, -9999, 300, 200)).toEqual({ scale: 2, x: 300, y: -200 });
  });

  it("keeps a photo that is fitted where it is", () => {
    expect(panBy(FITTED, 40, 25, 300, 200)).toEqual(FITTED);
  });

  it("fits the photo by its tighter side", () => {
    expect(fitPhoto(800, 400, 1, null)).toEqual({ left: 200, top: 0, width: 400, height: 400 });
  });

  it("leaves room for a window that reaches beyond the photo", () => {
    const box = fitPhoto(400, 800, 1, [0, -0.5, 1, 1.5]);
    expect(box).toEqual({ left: 0, top: 200, width: 400, height: 400 });
  });
});
