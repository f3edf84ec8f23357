"""The photo taken apart, once a clip: a canvas at output resolution, the product's soft alpha, the scene without it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from PIL import Image

from engine.media.colour import to_rgb, to_yuv
from engine.media.continuation import continue_plain, continue_product, continue_softly
from engine.media.framing import Framing
from engine.media.ground import grounded
from engine.media.photo import Photo
from engine.media.plate import continue_texture

_RIM = 0.004  # of the short side: pixels this near to the product may hold some of it, so the scene does not use them
_UNSURE = 1.5  # pixels of the photo by which a mask may be off; more than the rim where a small photo is enlarged
_SHADOW = 0.015  # of the short side: how far a contact shadow reaches at the most
_TORN = 0.3  # of its columns that may be longer
_DARKER = 20.0  # levels of luma by which it is darker than its surroundings
_FAINT = 6  # alpha below this, of 255, is noise of an automatic mask


@dataclass(frozen=True)
class Layers:
    """A photo ready to be moved. All arrays are [Hc, Wc] of the canvas, uint8, colours BT.709 YUV.

    `size` (W, H) of the output; `origin` (x, y): canvas pixel at the window's corner, whole numbers at full size.
    `photo`: the reframed photo with its margins. `alpha`: the product. `scene`: the background with the product
    removed. `depth`: 0 where `scene` is the photo's own pixel, rising to 255 inside what was filled. `shadow` (0, 255):
    where the product touches the ground, its shadow. `plain`: the background is one colour or a smooth gradient, or
    what a cut-out product is laid over.
    """

    size: tuple[int, int]
    origin: tuple[float, float]
    photo: np.ndarray
    alpha: np.ndarray
    scene: np.ndarray
    depth: np.ndarray
    shadow: np.ndarray
    plain: bool = False

    def window_photo(self) -> np.ndarray:
        """What frame 0 shows, uint8 RGB [H, W, 3]: the reframed photo, continued where the window leaves it."""
        return to_rgb(self._window(self.photo))

    def window_mask(self) -> np.ndarray:
        """The product in the window, uint8 [H, W]."""
        return self._window(self.alpha)

    def _window(self, image: np.ndarray) -> np.ndarray:
        (width, height), (x, y) = self.size, (round(value) for value in self.origin)
        return np.ascontiguousarray(image[y : y + height, x : x + width])


@dataclass(frozen=True)
class _Cut:
    """Where the photo lies on the canvas: whole canvas pixels (x0, y0, x1, y1), and that box in photo pixels."""

    size: tuple[int, int]
    origin: tuple[int, int]
    inside: tuple[int, int, int, int]
    source: tuple[float, float, float, float]

    @property
    def part(self) -> tuple[int, int]:
        return self.inside[2] - self.inside[0], self.inside[3] - self.inside[1]

    @property
    def pads(self) -> tuple[int, int, int, int]:
        """(top, bottom, left, right) pixels of canvas outside the photo."""
        x0, y0, x1, y1 = self.inside
        return y0, self.size[1] - y1, x0, self.size[0] - x1


def build_layers(photo: Photo, mask: np.ndarray | None, framing: Framing, out_size: tuple[int, int]) -> Layers:
    """Cut the canvas of `framing` from the photo for an output of `out_size` (width, height).

    `mask` uint8 [H, W] of the photo's size, 255 on the product; None takes the photo's own alpha, or no product at all.
    """
    cut = _cut_canvas(photo, framing, out_size)
    part = to_yuv(_resample(photo.rgb, cut.part, cut.source))
    mask = photo.alpha if mask is None else mask
    if mask is None:
        alpha = np.zeros(part.shape[:2], np.uint8)
    else:
        alpha = _without_noise(_resample(mask, cut.part, cut.source))  # one kernel for both, or their edges part
    shadow = np.zeros_like(alpha)
    is_cut_out = photo.alpha is not None and mask is not None and np.array_equal(mask, photo.alpha)
    backdrop = photo.backdrop if is_cut_out else None
    if backdrop:
        scene, depth = _behind_cut_out(backdrop, part.shape)
    else:
        hole = _hole(alpha, _unsure(framing, out_size))
        dark = _contact_shadow(part[..., 0], hole, min(out_size))
        scene, depth = continue_texture(part, hole | dark, plain=framing.continued)
        if not dark.any() and depth.any():
            scene = _dark_below(scene, part[..., 0], depth > 0, min(out_size))
        shadow[dark | (hole & _grown(dark, _unsure(framing, out_size)))] = 255
    layers = Layers(out_size, cut.origin, part, alpha, scene, depth, shadow, framing.continued)
    if any(cut.pads):
        layers = _extend(layers, cut, framing)
    if backdrop:
        seen, scene = grounded(layers.photo, layers.scene, layers.alpha)
        layers = replace(layers, photo=seen, scene=scene)
    return layers


def shrink(layers: Layers, short_side: int = 270) -> Layers:
    """The same layers for a smaller output, for previews. Fast, but not pixel-exact at time 0."""
    factor = short_side / min(layers.size)
    if factor >= 1:
        return layers
    size = tuple(2 * round(side * factor / 2) for side in layers.size)
    fx, fy = size[0] / layers.size[0], size[1] / layers.size[1]

    def small(image: np.ndarray) -> np.ndarray:
        target = max(2, round(image.shape[1] * fx)), max(2, round(image.shape[0] * fy))
        return cv2.resize(image, target, interpolation=cv2.INTER_AREA)

    origin = ((layers.origin[0] + 0.5) * fx - 0.5, (layers.origin[1] + 0.5) * fy - 0.5)
    pictures = (layers.photo, layers.alpha, layers.scene, layers.depth, layers.shadow)
    photo, alpha, scene, depth, shadow = map(small, pictures)
    return Layers((size[0], size[1]), origin, photo, alpha, scene, depth, shadow, layers.plain)


def _cut_canvas(photo: Photo, framing: Framing, out_size: tuple[int, int]) -> _Cut:
    (low_x, low_y), (high_x, high_y) = framing.room
    (width, height), (pw, ph), window = out_size, photo.size, framing.window
    left, top = math.floor(low_x * width + 0.01), math.floor(low_y * height + 0.01)
    right, bottom = math.floor(high_x * width + 0.01), math.floor(high_y * height + 0.01)
    x0, x1, sx0, sx1 = _inside(left, width + left + right, window[0], (window[2] - window[0]) / width, pw)
    y0, y1, sy0, sy1 = _inside(top, height + top + bottom, window[1], (window[3] - window[1]) / height, ph)
    return _Cut((width + left + right, height + top + bottom), (left, top), (x0, y0, x1, y1), (sx0, sy0, sx1, sy1))


def _inside(before: int, length: int, start: float, step: float, photo: int) -> tuple[int, int, float, float]:
    """On one axis: the canvas pixels that the photo covers whole, and their extent in photo pixels."""
    first = max(0, math.ceil(before - start / step - 0.01))
    last = min(length, math.floor(before + (photo - start) / step + 0.01))
    if last <= first:  # a photo of a few pixels, enlarged: at least one of the canvas shows it
        first = min(max(0, round(before - start / step)), length - 1)
        last = first + 1
    low, high = start + (first - before) * step, start + (last - before) * step
    return first, last, min(max(low, 0.0), photo), min(max(high, 0.0), photo)


def _resample(image: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float]) -> np.ndarray:
    whole = math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])
    if size == (whole[2] - whole[0], whole[3] - whole[1]) and whole == tuple(box):
        return np.ascontiguousarray(image[whole[1] : whole[3], whole[0] : whole[2]])
    return np.asarray(
        Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, box=box)
    )  # Pillow takes fractions of a pixel


def _without_noise(alpha: np.ndarray) -> np.ndarray:
    levels = np.arange(256, dtype=np.uint8)
    levels[:_FAINT], levels[256 - _FAINT :] = 0, 255
    return cv2.LUT(alpha, levels)


def _behind_cut_out(backdrop: tuple[int, int, int], shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Scene and depth behind a cut-out product: known exactly, so nothing is filled or corrected."""
    colour = to_yuv(np.array([[backdrop]], np.uint8))
    return np.ascontiguousarray(np.broadcast_to(colour, shape)), np.zeros(shape[:2], np.uint8)


def _unsure(framing: Framing, out_size: tuple[int, int]) -> float:
    """Canvas pixels around the product that may hold some of it."""
    return max(_RIM * min(out_size), _UNSURE * out_size[0] / (framing.window[2] - framing.window[0]))


def _hole(alpha: np.ndarray, unsure: float) -> np.ndarray:
    return _grown(alpha > 0, unsure)


def _grown(where: np.ndarray, pixels: float) -> np.ndarray:
    reach = 2 * max(1, round(pixels)) + 1
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return cv2.dilate(where.astype(np.uint8), element) > 0


def _contact_shadow(luma: np.ndarray, hole: np.ndarray, short_side: int) -> np.ndarray:
    """bool [H, W]: what is right under the hole and much darker than what lies a little farther down. Left in the
    scene, the dark line under a product stays behind when it moves; out of it, it goes along.
    """
    if not hole.any() or hole.all():
        return np.zeros_like(hole)
    reach = max(1, round(_SHADOW * short_side)) + 1
    down, light = _farther_down(luma, hole, reach)
    darker = luma + _DARKER < light
    dark, past = down & ~hole & darker, ~down & np.roll(down, 1, axis=0) & darker
    if past.any(0).sum() > _TORN * dark.any(0).sum():  # it goes on: a wide shadow, not to be torn in two
        return np.zeros_like(hole)
    dark[:, past.any(0)] = False
    _, parts = cv2.connectedComponents((hole | dark).astype(np.uint8))
    touching = np.isin(parts, np.unique(parts[hole]))
    return _grown(dark & touching, 1) & ~hole


def _farther_down(luma: np.ndarray, hole: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """What lies under the hole, as far as `reach`; and luma [H, W] of what is farther down, 0 where nothing is."""
    down = cv2.dilate(hole.astype(np.uint8), np.ones((reach, 3), np.uint8), anchor=(1, reach - 1)) > 0
    beyond = (~down).astype(np.float32)
    mass, light = (
        cv2.boxFilter(values, -1, (5, 2 * reach), anchor=(2, 0), borderType=cv2.BORDER_REPLICATE)
        for values in (beyond, luma * beyond)
    )
    return down, np.where(mass > 0.02, light / np.maximum(mass, 1e-3), 0)


def _dark_below(scene: np.ndarray, luma: np.ndarray, filled: np.ndarray, short_side: int) -> np.ndarray:
    """`scene` whose shadow, where it is darkest right under the product, goes on below it: what was filled there is as
    dark as the shadow's edge, and gets its own light a little farther in. Where a product slides on its floor, a pale
    sliver would open between it and a shadow that stays.
    """
    height, reach = len(filled), max(1, round(_SHADOW * short_side)) + 1
    _, light = _farther_down(luma, filled, reach)
    edge = cv2.boxFilter(luma.astype(np.float32), -1, (9, 3), anchor=(4, 0), borderType=cv2.BORDER_REPLICATE)
    fade = np.clip(2 * (light - edge) / _DARKER - 1, 0, 1)
    darker = (fade * (light - edge) / np.maximum(light, 1)).astype(np.float32)
    rows = np.arange(height, dtype=np.int32)[:, None]
    below = np.where(filled, np.int32(height), rows)
    under = np.minimum.accumulate(below[::-1])[::-1]  # the first row below that shows the photo
    place = np.minimum(under, height - 1), np.arange(filled.shape[1])[None]
    away = np.float32(rows - under) / np.float32(3 * reach)
    share = np.where(filled & (under < height), np.exp(-away * away), np.float32(0))
    dark = cv2.blur(np.where(filled, darker[place], np.float32(0)), (2 * reach + 1, 1)) * share
    where, black = dark > 0, np.array([16, 128, 128], np.float32)
    most = np.maximum(scene[where, 0], light[place][where]) * (1 - dark[where])
    dim = np.clip((most - 16) / np.maximum(scene[where, 0] - np.float32(16), 1), 0, 1)[:, None]
    dimmed = scene.copy()
    dimmed[where] = np.rint(black + (scene[where] - black) * dim)
    return dimmed


def _extend(layers: Layers, cut: _Cut, framing: Framing) -> Layers:
    """Continue the layers to the whole canvas: the scene without the product, then the product where it is cut."""
    pads = cut.pads
    if framing.continued:
        scene = continue_plain(layers.scene, pads)
    else:
        scene = continue_softly(layers.scene, pads, min(layers.size))
    depth_border = cv2.BORDER_REPLICATE if framing.continued else cv2.BORDER_REFLECT_101
    product, alpha = continue_product(layers.photo, layers.alpha, pads, framing.cut)
    photo = scene.copy()
    x0, y0, x1, y1 = cut.inside
    for strip in (np.s_[:y0], np.s_[y1:], np.s_[y0:y1, :x0], np.s_[y0:y1, x1:]):
        if alpha[strip].any():
            weight = alpha[strip][..., None] / np.float32(255)
            photo[strip] = np.rint(scene[strip] + (product[strip] - scene[strip].astype(np.float32)) * weight)
    photo[y0:y1, x0:x1] = layers.photo
    depth = cv2.copyMakeBorder(layers.depth, *pads, depth_border)
    shadow = cv2.copyMakeBorder(layers.shadow, *pads, cv2.BORDER_CONSTANT, value=0)
    return Layers(layers.size, layers.origin, photo, alpha, scene, depth, shadow, layers.plain)
