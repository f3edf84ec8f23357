"""A contact sheet of commercials and of their truth: `python -m datapipe.worlds.sheet OUT.png [--seeds 0 1 2]`.

A row is a commercial over time; a small square marks the first frame of a shot (white: cut, yellow: dissolve). Rows of
truth follow their commercial: flow as colour, layers by depth, product mask.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from datapipe.worlds.commercial import Commercial, film_commercial, plan_commercial

GAP = 3


def draw_sheet(seeds: list[int], truth: int, side: int, columns: int) -> np.ndarray:
    """Commercials of square frames as rows of `columns` frames, the first `truth` of them with theirs: [h, w, 3]."""
    rows = []
    for index, seed in enumerate(seeds):
        film = film_commercial(plan_commercial(seed, 1.0), side, side, frames=33)
        shown = np.linspace(0, 32, columns).round().astype(int)
        rows.append(_row(_marked(film)[shown]))
        if index < truth:
            rows += [_row(picture[shown]) for picture in _truth(film)]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for row in rows for part in (row, gap)][:-1])


def _row(frames_THW3: np.ndarray) -> np.ndarray:
    gap = np.full((frames_THW3.shape[1], GAP, 3), 255, np.uint8)
    return np.concatenate([part for frame in frames_THW3 for part in (frame, gap)][:-1], 1)


def _marked(film: Commercial) -> np.ndarray:
    frames = film.frames.copy()
    size = max(3, frames.shape[1] // 20)
    for cut in film.cuts:
        for t in range(cut.frame, min(cut.frame + 4, len(frames))):
            frames[t, :size, :size] = (255, 255, 255) if cut.kind == "cut" else (255, 214, 0)
    return frames


def _truth(film: Commercial) -> list[np.ndarray]:
    """Flow (hue: direction, brightness: length), layers (near: bright, overlays: red), product mask over grey."""
    length = np.linalg.norm(film.flow, axis=-1)
    angle = np.arctan2(film.flow[..., 1], film.flow[..., 0])
    hsv = np.stack([(angle + np.pi) * 90 / np.pi, np.full_like(angle, 220), np.clip(700 * length**0.5, 0, 255)], -1)
    flow = np.stack([cv2.cvtColor(frame.astype(np.uint8), cv2.COLOR_HSV2RGB) for frame in hsv])
    counts = np.array([len(layers) - 1 for layers in film.depths])[film.shot]
    depth = (40 + 215 * (film.layer / counts[:, None, None])).astype(np.uint8)
    layers = np.repeat(depth[..., None], 3, -1)
    layers[film.overlay > 127] = (225, 40, 50)
    grey = film.frames.mean(-1, keepdims=True) * 0.35
    share = film.mask[..., None] / 255
    mask = np.where(share > 0, grey + share * np.array((40, 190, 140)), np.repeat(grey, 3, -1)).clip(0, 255)
    return [flow, layers, mask.astype(np.uint8)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("out", type=Path)
    options.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    options.add_argument("--truth", type=int, default=1, help="how many of them with rows of truth")
    options.add_argument("--side", type=int, default=112, help="pixels of a frame")
    options.add_argument("--columns", type=int, default=9)
    options.add_argument("--colours", type=int, default=256, help="of the picture's palette")
    chosen = options.parse_args()
    sheet = draw_sheet(chosen.seeds, chosen.truth, chosen.side, chosen.columns)
    whole = Image.fromarray(sheet)
    palette = whole.quantize(chosen.colours)
    picture = whole.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    picture.save(chosen.out, optimize=True)
    print(f"{chosen.out}: {picture.width}x{picture.height}, {chosen.out.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
