"""Text and marks laid over a commercial: headline, price badge and logo, with the box of their ink in every frame.

A box is (x0, y0, x1, y1) in pixels, the last ones outside; (-1, -1, -1, -1) where nothing shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from datapipe.worlds.drawing import FONTS, Grid, lettered, spelled
from datapipe.worlds.identities import Identity
from datapipe.worlds.materials import Rgb, mix
from datapipe.worlds.shapes import ellipse, logo, rounded, star

Rng = np.random.Generator
KINDS = ("headline", "price", "logo")
ENTRIES = ("cut", "fade", "slide", "pop")
FINE = 4  # overlays are drawn so many times larger, then averaged
HEADLINES = (
    "NEW", "SALE", "FRESH", "PURE", "ORIGINAL", "NEW {product}", "SUMMER SALE", "JUST LANDED", "MADE TO LAST",
    "FEEL GOOD", "LESS IS MORE", "ONLY TODAY", "BEST {product}", "YOUR {product}", "BIG DEAL", "TRY ME", "BACK AGAIN",
    "LIMITED", "50% OFF", "HELLO {product}", "THE NEW {brand}", "{brand} TODAY",
)  # fmt: skip
_NOWHERE = (-1, -1, -1, -1)


@dataclass(frozen=True)
class Overlay:
    """One overlay. It shows during the shots first..last (inclusive), coming in over `enter` of the first of them.

    (x, y): its middle in shares of the frame; `size`: most of the frame's width and height that it may take.
    """

    kind: str
    text: str
    first: int
    last: int
    entry: str
    enter: float
    x: float
    y: float
    size: tuple[float, float]
    ink: Rgb
    panel: Rgb | None
    shape: int  # of a badge or a logo's mark
    font: int
    stroke: int


@dataclass(frozen=True)
class Tile:
    """An overlay at rest: rgb uint8 [h, w, 3], alpha uint8 [h, w], its upper left pixel (x, y) in the frame."""

    rgb: np.ndarray
    alpha: np.ndarray
    x: int
    y: int


Grounds = tuple[tuple[Rgb, Rgb], ...]  # of each shot about the colours that its upper and lower part have


def sample_overlays(rng: Rng, identity: Identity, roles: tuple[str, ...], grounds: Grounds) -> tuple[Overlay, ...]:
    """What is laid over shots of these roles: most have a headline, those with a pack shot a price and a logo.

    Headlines leave presenters' faces free, and what has no panel has ink that can be told from its ground.
    """
    last = len(roles) - 1
    pack = roles[-1] == "pack"
    found = []
    top = pack
    if rng.random() < 0.85:
        first = last if pack and rng.random() < 0.5 else int(rng.integers(last + 1))
        until = last if rng.random() < 0.4 else first
        top = "talk" not in roles[first : until + 1] and (pack or rng.random() < 0.5)
        found.append(_headline(rng, identity, first, until, top, grounds[until][0 if top else 1]))
    left = bool(rng.random() < 0.5)
    if rng.random() < (0.9 if pack else 0.35):
        found.append(_price(rng, identity, last, left))
    if rng.random() < (0.9 if pack else 0.4):
        first = last if pack and rng.random() < 0.6 else 0
        found.append(_logo(rng, identity, first, last, top, left, grounds[last][1 if top else 0]))
    return tuple(found)


def lay_over(
    frames_THW3: np.ndarray, overlay: Overlay, spans: tuple[tuple[int, int], ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw an overlay into frames (uint8, in place); spans: first and last-but-one frame of every shot.

    Returns its coverage uint8 [T, H, W] and its boxes int32 [T, 4].
    """
    frames, height, width = frames_THW3.shape[:3]
    cover_THW = np.zeros((frames, height, width), np.uint8)
    boxes_T4 = np.full((frames, 4), -1, np.int32)
    start, stop = spans[overlay.first][0], spans[overlay.last][1]
    length = spans[overlay.first][1] - start
    for t in range(start, stop):
        done = 1.0 if overlay.entry == "cut" else min(1.0, (t - start + 1) / max(1.0, overlay.enter * length))
        boxes_T4[t] = _stamp(frames_THW3[t], cover_THW[t], overlay, done)
    return cover_THW, boxes_T4


def _stamp(frame: np.ndarray, cover: np.ndarray, overlay: Overlay, done: float) -> tuple[int, int, int, int]:
    """Draw one frame's state of an overlay, `done` of its way in."""
    height, width = frame.shape[:2]
    tile = draw_tile(overlay, height, width, round(done, 4) if overlay.entry == "pop" else 1.0)
    alpha = tile.alpha.astype(np.float32) * np.float32(done if overlay.entry == "fade" else 1.0)
    alpha = np.round(alpha).astype(np.uint8)
    y = tile.y
    if overlay.entry == "slide":
        away = height - tile.y if overlay.y > 0.5 else -(tile.y + tile.alpha.shape[0])
        y += round(away * (1 - done) ** 2)
    y0, x0 = max(y, 0), max(tile.x, 0)
    y1, x1 = min(y + alpha.shape[0], height), min(tile.x + alpha.shape[1], width)
    if y1 <= y0 or x1 <= x0:
        return _NOWHERE
    inner = np.s_[y0 - y : y1 - y, x0 - tile.x : x1 - tile.x]
    alpha, rgb = alpha[inner], tile.rgb[inner]
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    if len(rows) == 0:
        return _NOWHERE
    below = frame[y0:y1, x0:x1].astype(np.float32)
    below += (rgb - below) * (alpha.astype(np.float32) / 255)[..., None]
    frame[y0:y1, x0:x1] = np.round(below).astype(np.uint8)
    cover[y0:y1, x0:x1] = alpha
    return x0 + int(columns[0]), y0 + int(rows[0]), x0 + int(columns[-1]) + 1, y0 + int(rows[-1]) + 1


@lru_cache(maxsize=64)
def draw_tile(overlay: Overlay, height: int, width: int, scale: float = 1.0) -> Tile:
    """The overlay for a frame of height x width, its size times `scale`."""
    wide, tall = overlay.size[0] * width * scale, overlay.size[1] * height * scale
    if overlay.kind == "price":
        wide = tall = min(wide, tall)
    draw = {"headline": _draw_headline, "price": _draw_price, "logo": _draw_logo}[overlay.kind]
    rgb, alpha = draw(overlay, max(6, round(wide)), max(6, round(tall)))
    x = round(overlay.x * width - alpha.shape[1] / 2)
    y = round(overlay.y * height - alpha.shape[0] / 2)
    margin_x, margin_y = round(0.02 * width), round(0.02 * height)
    x = min(max(x, margin_x), width - margin_x - alpha.shape[1])
    y = min(max(y, margin_y), height - margin_y - alpha.shape[0])
    return Tile(rgb, alpha, x, y)


def _draw_headline(overlay: Overlay, wide: int, tall: int) -> tuple[np.ndarray, np.ndarray]:
    """One or two lines, on a strip if there is a panel."""
    lines = _lines(overlay.text)
    tiles = [lettered(line, overlay.font, overlay.stroke) for line in lines]
    pad = 0.1 * tall / len(tiles) if overlay.panel else 0.0
    row = (tall - 2 * pad) / len(tiles)
    fit = min(row * 0.86 / max(t.shape[0] for t in tiles), (wide - 2 * pad) / max(t.shape[1] for t in tiles))
    width = int(np.ceil(max(t.shape[1] for t in tiles) * fit + 4 * pad))
    pitch = max(t.shape[0] for t in tiles) * fit / 0.86
    height = int(np.ceil(pitch * len(tiles) + 2 * pad))
    ink = np.zeros((height * FINE, width * FINE), np.uint8)
    for i, tile in enumerate(tiles):
        _put(ink, tile, fit * FINE, width * FINE / 2, (pad + (i + 0.5) * pitch) * FINE)
    ground = None if overlay.panel is None else np.full_like(ink, 255)
    return _inked(overlay, ink, ground)


def _draw_price(overlay: Overlay, wide: int, tall: int) -> tuple[np.ndarray, np.ndarray]:
    """A round, starred or rounded badge with the price."""
    side = wide
    grid = Grid(-1, -1, side * FINE / 2, side * FINE / 2, side * FINE, side * FINE)
    outline = (
        ellipse(0, 0, 0.98), star(0, 0, 0.99, 14, 0.86), rounded(-0.98, -0.55, 0.98, 0.55, 0.3),
    )[overlay.shape % 3]  # fmt: skip
    ground = grid.fill([outline])
    tile = lettered(overlay.text, overlay.font, overlay.stroke)
    ink = np.zeros_like(ground)
    fit = min(side * FINE * 0.78 / tile.shape[1], side * FINE * 0.5 / tile.shape[0])
    _put(ink, tile, fit, side * FINE / 2, side * FINE / 2)
    return _inked(overlay, ink, ground)


def _draw_logo(overlay: Overlay, wide: int, tall: int) -> tuple[np.ndarray, np.ndarray]:
    """A mark and the brand's name beside it."""
    tile = lettered(overlay.text, overlay.font, overlay.stroke)
    mark = tall * 0.9
    fit = min((wide - mark * 1.2) / tile.shape[1], tall * 0.8 / tile.shape[0])
    if fit <= 0:
        fit = 0.05
    width = int(np.ceil(mark * 1.2 + tile.shape[1] * fit))
    ink = np.zeros((tall * FINE, width * FINE), np.uint8)
    _put(ink, tile, fit * FINE, (mark * 1.2 + tile.shape[1] * fit / 2) * FINE, tall * FINE / 2)
    grid = Grid(0, 0, FINE, FINE, width * FINE, tall * FINE)
    badge = logo(np.random.default_rng(overlay.shape), mark / 2, tall / 2, mark * 0.34)
    ink = np.maximum(ink, grid.fill([badge]))
    return _inked(overlay, ink, None)


def _inked(overlay: Overlay, ink: np.ndarray, ground: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Colours and coverage at frame size of ink on a ground; the ink alone where there is none."""
    size = (ink.shape[1] // FINE, ink.shape[0] // FINE)
    ink_share = cv2.resize(ink, size, interpolation=cv2.INTER_AREA)
    alpha = ink_share if ground is None else cv2.resize(np.maximum(ground, ink), size, interpolation=cv2.INTER_AREA)
    rgb = np.empty((*alpha.shape, 3), np.float32)
    rgb[:] = overlay.panel if overlay.panel is not None and ground is not None else overlay.ink
    share = (ink_share.astype(np.float32) / np.maximum(alpha, 1))[..., None]
    rgb += (np.array(overlay.ink, np.float32) - rgb) * share
    return np.round(rgb).astype(np.uint8), alpha


def _put(canvas: np.ndarray, tile: np.ndarray, scale: float, cx: float, cy: float) -> None:
    """Lay a coverage tile into the canvas, scaled, its middle at (cx, cy)."""
    size = (max(1, round(tile.shape[1] * scale)), max(1, round(tile.shape[0] * scale)))
    small = cv2.resize(tile, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    x, y = max(0, round(cx - size[0] / 2)), max(0, round(cy - size[1] / 2))
    target = canvas[y : y + size[1], x : x + size[0]]
    np.maximum(target, small[: target.shape[0], : target.shape[1]], out=target)


def _lines(text: str) -> list[str]:
    """Two lines where a text of several words is long."""
    words = text.split()
    if len(text) <= 8 or len(words) == 1:
        return [text]
    cuts = range(1, len(words))
    best = min(cuts, key=lambda i: max(len(" ".join(words[:i])), len(" ".join(words[i:]))))
    return [" ".join(words[:best]), " ".join(words[best:])]


def _headline(rng: Rng, identity: Identity, first: int, last: int, top: bool, ground: Rgb) -> Overlay:
    copy = HEADLINES[int(rng.integers(len(HEADLINES)))]
    text = copy.format(product=identity.body.noun.upper(), brand=identity.brand_name)
    ink, panel = _colours(rng, identity, ground)
    return Overlay(
        "headline", text, first, last, _entry(rng), float(rng.uniform(0.3, 0.7)), 0.5,
        float(rng.uniform(0.1, 0.17)) if top else float(rng.uniform(0.84, 0.9)), (0.92, float(rng.uniform(0.17, 0.3))),
        ink, panel, 0, FONTS[int(rng.integers(3))], int(rng.integers(9, 15)),
    )  # fmt: skip


def _price(rng: Rng, identity: Identity, last: int, left: bool) -> Overlay:
    whole = int(rng.integers(1, 100))
    text = (f"${whole}", f"${whole}.99", f"-{5 * int(rng.integers(2, 15))}%", f"${whole}")[int(rng.integers(4))]
    panel = (
        (226.0, 38.0, 48.0), (250.0, 206.0, 50.0), (24.0, 24.0, 28.0), identity.accent, (252.0, 250.0, 246.0),
    )[int(rng.integers(5))]  # fmt: skip
    return Overlay(
        "price", text, last, last, _entry(rng), float(rng.uniform(0.2, 0.6)), 0.15 if left else 0.85,
        float(rng.uniform(0.42, 0.7)), (0.28, 0.28), _ink_on(panel), panel, int(rng.integers(3)), FONTS[1],
        int(rng.integers(10, 14)),
    )  # fmt: skip


def _logo(rng: Rng, identity: Identity, first: int, last: int, top: bool, left: bool, ground: Rgb) -> Overlay:
    _, font, stroke = spelled(identity.brand)
    x = (0.83 if left else 0.17) if rng.random() < 0.6 else 0.5
    return Overlay(
        "logo", identity.brand_name, first, last, ENTRIES[int(rng.integers(2))], float(rng.uniform(0.2, 0.6)), x,
        0.92 if top else 0.08, (0.5, 0.12), _ink_on(ground), None, identity.number, font, stroke,
    )  # fmt: skip


def _colours(rng: Rng, identity: Identity, ground: Rgb) -> tuple[Rgb, Rgb | None]:
    """Ink, and often a strip behind it."""
    pick = rng.random()
    if pick < 0.35:
        return _ink_on(ground), None
    panel: Rgb = identity.accent if pick < 0.65 else ((20.0, 20.0, 26.0) if pick < 0.82 else (250.0, 249.0, 245.0))
    return _ink_on(panel), panel


def _ink_on(panel: Rgb) -> Rgb:
    bright = 0.299 * panel[0] + 0.587 * panel[1] + 0.114 * panel[2]
    return (250.0, 249.0, 245.0) if bright < 140 else mix(panel, (16.0, 16.0, 20.0), 0.9)


def _entry(rng: Rng) -> str:
    return ENTRIES[int(rng.integers(len(ENTRIES)))]
