"""One frame: the scene warped, the product warped over it, light added. The inner loop of every video.

Legend: "node" grids are 8 pixels apart and carry map coordinates; they are enlarged bilinearly to one per pixel.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np

from engine.media.colour import LUMA_SPAN, double, to_rgb, to_yuv
from engine.media.fields import Moment, MotionFields, extrapolate
from engine.media.layers import Layers
from engine.media.plate import coarse_shape, correct_colours
from engine.media.product import NO_REST, Product, take_product

_STEP = 8  # pixels between nodes
_PAD = 2  # field cells added on each side before sampling
_STILL = 1 / 64  # of a pixel: half the finest step of a map; less motion than this draws the same frame
_TOGETHER = 1.3 / 1080  # of the short side: where layers moved apart by much less, the photo's rest is added
_UNLIT = 4e-3  # of full scale: fainter light adds less than half a level
_MOST_LIGHT, _HEADROOM = 0.5, 0.6  # what a sweep at strength 1 is; the share of what is left up to white that it takes
_MOST_GROWTH = 1.2  # of the luma, by the most light: what is dark gets lighter, and not gray
_NO_SHADE = 0.01  # of full scale: what less is taken than added, next to a sweep, would cost more time than it shows
_FINE = 2  # steps of a level: 0.4 of white are added at most
_COLOURS = 0.6  # of what luma grows by, in proportion, so do the colours: more would leave the gamut, less is milk
_NO_MAP: Any = None  # the first map holds x and y


class Compositor:
    """Draws the frames of one clip. Holds buffers, so one instance belongs to one thread.

    Time 0 is the reframed photo exactly (up to colour rounding): whatever the clean layers do not explain at the
    product's rim is kept as a rest, added only where product and scene have not moved apart.
    """

    def __init__(self, layers: Layers, fields: MotionFields) -> None:
        self.size = layers.size
        self._layers, self._fields = layers, fields
        scene = layers.scene
        if not layers.plain:  # of those the photo tells more than the model
            scene = correct_colours(scene, layers.depth, _plate_on_canvas(layers, fields.plate))
        with ThreadPoolExecutor(1) as beside:
            doubled = beside.submit(lambda: double(_with_channel(scene, 255)))
            product = take_product(layers.photo, layers.alpha, scene, layers.depth, layers.shadow > 127)
            self._product = _Doubled(product)
            self._scene = doubled.result()
        self._nodes = _Nodes(layers, fields.light.shape[1:])
        self._reach = _coarse_reach(product, product.colours[..., 3])
        self._rest_reach = _coarse_reach(product, (product.rest != NO_REST).any(-1))
        width, height = layers.size
        self._frame = np.empty((height, width, 4), np.uint8)
        self._planes = np.empty((height * 3 // 2, width), np.uint8)
        self._drawn: list[np.ndarray] | None = None

    def frame(self, u: float) -> np.ndarray:
        """The frame at time `u` in [0, 1], uint8 RGB [H, W, 3]."""
        self._draw(self._fields.at(u))
        return to_rgb(cv2.cvtColor(self._frame, cv2.COLOR_BGRA2BGR))

    def planes(self, u: float) -> np.ndarray:
        """The frame as the encoder takes it: I420 planes, uint8 [H * 3 / 2, W], W and H even, in a reused buffer."""
        if self._draw(self._fields.at(u)):
            _to_i420(self._frame, self._planes)
        return self._planes

    def _draw(self, moment: Moment) -> bool:
        """Draw into the frame buffer; False when it already holds this frame."""
        scene, product, light = (self._nodes.scene(moment), self._nodes.product(moment), self._nodes.light(moment))
        now = [scene, product, light * LUMA_SPAN / 8]
        if self._drawn and all(np.abs(a - b).max() < 2 * _STILL for a, b in zip(now, self._drawn, strict=True)):
            return False
        self._drawn = now
        # Maps in float32: OpenCV makes them fixed-point itself, block by block, in two thirds of the time.
        places = self._nodes.enlarge(scene)
        cv2.remap(self._scene, places, _NO_MAP, cv2.INTER_LINEAR, dst=self._frame, borderMode=cv2.BORDER_REFLECT_101)
        self._draw_product(product, light)
        self._add_rest(scene, product)
        return True

    def _draw_product(self, product: np.ndarray, light: np.ndarray) -> None:
        box = self._nodes.box_of(product, self._reach)
        if not box:
            return
        places = self._nodes.enlarge_in(box, product[box.nodes] - self._product.origin)
        layer = cv2.remap(self._product.colours, places, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        light = np.where(self._nodes.reached(product, self._reach), light, 0)  # beside it the model's light is any
        if lit := box.part(np.abs(light) > _UNLIT):
            top, left = (inner.start - outer.start for inner, outer in zip(lit.pixels, box.pixels, strict=True))
            self._shine(layer[top : top + lit.shape[0], left : left + lit.shape[1]], light, lit)
        _over(self._frame[box.pixels], layer)

    def _shine(self, layer: np.ndarray, light: np.ndarray, box: _Box) -> None:
        """Let light fall on the premultiplied product, in place.

        The worlds add it to the luma, whatever is there: a white mug would lose its letters in it, and black glaze turn
        to milk. So it takes a share of what is left up to white (`_responses`), and the colours grow along with it;
        shade takes of both. All in bytes: this is the inner loop.
        """
        nodes = light[box.nodes]
        luma, alpha = cv2.extractChannel(layer, 0), cv2.extractChannel(layer, 3)
        straight, bright = cv2.divide(luma, alpha, scale=255), self._nodes.enlarge_in(box, _taken(nodes))
        shine = cv2.multiply(
            cv2.LUT(straight, _SHINE), cv2.multiply(alpha, bright, scale=1 / 255), scale=1 / 255 / _FINE
        )
        growth, gray = (
            cv2.multiply(cv2.LUT(straight, _GROWTH), bright, scale=1 / 255),
            cv2.convertScaleAbs(alpha, alpha=128 / 255),
        )
        parts = [cv2.add(luma, shine)]
        parts += [_scaled(cv2.extractChannel(layer, n), gray, growth, (cv2.add, cv2.subtract)) for n in (1, 2)]
        if nodes.min() < -_NO_SHADE:
            dark = self._nodes.enlarge_in(box, _bytes(-nodes - _NO_SHADE))
            blacks = cv2.convertScaleAbs(alpha, alpha=16 / 255), gray, gray
            parts = [_scaled(*one, dark, (cv2.subtract, cv2.add)) for one in zip(parts, blacks, strict=True)]
        for n, part in enumerate(parts):
            cv2.insertChannel(part, layer, n)

    def _add_rest(self, scene: np.ndarray, product: np.ndarray) -> None:
        apart = np.square(scene - product).sum(-1)
        share = np.exp(-apart / (2 * _TOGETHER * min(self.size)) ** 2)
        box = self._nodes.box_of(product, self._rest_reach, share > 0.01)
        if not box:
            return
        places = self._nodes.enlarge_in(box, product[box.nodes] - self._product.origin)
        none = [NO_REST] * 4
        rest = cv2.remap(
            self._product.rest, places, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=none
        )
        weight = 2 * self._nodes.enlarge_in(box, share[box.nodes])
        signed = cv2.subtract(rest, np.array([*none], np.float64), dtype=cv2.CV_16S)
        added = cv2.multiply(signed, cv2.merge([weight] * 4), dtype=cv2.CV_16S)
        part = self._frame[box.pixels]
        part[...] = cv2.add(part, added, dtype=cv2.CV_8U)


def render_frame(layers: Layers, fields: MotionFields, u: float) -> np.ndarray:
    """One frame at time `u`, uint8 RGB [H, W, 3]. For many frames of a clip, keep one `Compositor`."""
    return Compositor(layers, fields).frame(u)


def preview_jpeg(layers: Layers, fields: MotionFields, u: float, quality: int = 78) -> bytes:
    """One frame as a JPEG, for live previews while denoising; give it layers made small by `layers.shrink`."""
    frame = cv2.cvtColor(render_frame(layers, fields, u), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


class _Box:
    """A rectangle of nodes and the output pixels it covers."""

    def __init__(self, top: int, bottom: int, left: int, right: int, size: tuple[int, int]) -> None:
        self._size = size
        self.nodes = slice(top, bottom), slice(left, right)
        self.shape = min(size[1], (bottom - 2) * _STEP) - top * _STEP, min(size[0], (right - 2) * _STEP) - left * _STEP
        self.pixels = slice(top * _STEP, top * _STEP + self.shape[0]), slice(left * _STEP, left * _STEP + self.shape[1])

    def part(self, where: np.ndarray) -> _Box | None:
        """The smallest box in this one that holds all pixels that nodes of `where` [rows, columns] have a say in."""
        inside = np.zeros_like(where)
        inside[self.nodes] = where[self.nodes]
        if not inside.any():
            return None
        (top, bottom), (left, right) = (
            (max(nodes.start, int(held[0]) - 2), min(nodes.stop, int(held[-1]) + 3))
            for nodes, held in zip(self.nodes, (np.flatnonzero(inside.any(axis)) for axis in (1, 0)), strict=True)
        )
        return _Box(top, bottom, left, right, self._size)


class _Doubled:
    """The product and its rest, doubled like the scene, in a crop of the canvas."""

    def __init__(self, product: Product) -> None:
        top, left = product.corner
        self.origin = np.array([2 * left, 2 * top], np.float32)
        self.colours = double(product.colours, premultiplied=True)
        self.rest = double(product.rest)


class _Nodes:
    """Samples fields on the node grid, and node grids on pixels. Node (0, 0) lies one step outside the window."""

    def __init__(self, layers: Layers, grid: tuple[int, int]) -> None:
        self._size = layers.size
        width, height = layers.size
        x = (np.arange(-(-width // _STEP) + 2) - 1) * _STEP + (_STEP - 1) / 2
        y = (np.arange(-(-height // _STEP) + 2) - 1) * _STEP + (_STEP - 1) / 2
        at_x, at_y = np.meshgrid((x + 0.5) / width * grid[1] - 0.5 + _PAD, (y + 0.5) / height * grid[0] - 0.5 + _PAD)
        self._places = at_x.astype(np.float32), at_y.astype(np.float32)
        place = np.stack(np.meshgrid(x + layers.origin[0], y + layers.origin[1]), -1)
        self._base = (2 * place).astype(np.float32)  # doubled canvas pixels
        self._scale = np.array([2 * width, 2 * height], np.float32)

    def scene(self, moment: Moment) -> np.ndarray:
        return self._base + self._sample(moment.scene) * self._scale

    def product(self, moment: Moment) -> np.ndarray:
        return self._base + self._sample(moment.product) * self._scale

    def light(self, moment: Moment) -> np.ndarray:
        return self._sample(moment.light)

    def enlarge(self, nodes: np.ndarray) -> np.ndarray:
        rows, columns = nodes.shape[:2]
        return self.enlarge_in(_Box(0, rows, 0, columns, self._size), nodes)

    def enlarge_in(self, box: _Box, nodes: np.ndarray) -> np.ndarray:
        """[rows, columns, ...] of the box's nodes -> one value per pixel of the box."""
        rows, columns = nodes.shape[:2]
        wide = cv2.resize(nodes, (columns * _STEP, rows * _STEP), interpolation=cv2.INTER_LINEAR)
        return wide[_STEP : _STEP + box.shape[0], _STEP : _STEP + box.shape[1]]

    def box_of(self, layer: np.ndarray, reach: np.ndarray, where: np.ndarray | None = None) -> _Box | None:
        """Where a layer is visible: nodes that sample `reach` (coarse canvas, uint8), among those of `where`."""
        hit = self.reached(layer, reach)
        if where is not None:
            hit[~where] = 0
        x, y, width, height = cv2.boundingRect(hit)
        if not width:
            return None
        rows, columns = hit.shape
        top, bottom = max(0, y - 2), min(rows, y + height + 2)
        left, right = max(0, x - 2), min(columns, x + width + 2)
        return _Box(top, bottom, left, right, self._size) if bottom - top > 2 and right - left > 2 else None

    def reached(self, layer: np.ndarray, reach: np.ndarray) -> np.ndarray:
        """What each node samples of `reach`: 0 where there is nothing of the layer."""
        place = np.ascontiguousarray(layer / (2 * _STEP), np.float32)
        return cv2.remap(reach, place, _NO_MAP, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)

    def _sample(self, field: np.ndarray) -> np.ndarray:
        return cv2.remap(extrapolate(field, _PAD), *self._places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _coarse_reach(product: Product, alpha: np.ndarray) -> np.ndarray:
    """Where `alpha` of the crop is not clear, on a grid of one cell per step of the canvas, a little wider."""
    rows, columns = -(-product.canvas[0] // _STEP), -(-product.canvas[1] // _STEP)
    grid = np.zeros((rows + 1, columns + 1), np.uint8)
    y, x = np.nonzero(alpha)
    grid[(y + product.corner[0]) // _STEP, (x + product.corner[1]) // _STEP] = 255
    return cv2.dilate(grid, np.ones((5, 5), np.uint8))


def _plate_on_canvas(layers: Layers, plate: np.ndarray) -> np.ndarray:
    """The plate, in window coordinates, resampled to the canvas' coarse grid, float32 YUV."""
    height, width = layers.scene.shape[:2]
    rows, columns = coarse_shape(height, width)
    x = ((np.arange(columns) + 0.5) * width / columns - 0.5 - layers.origin[0] + 0.5) / layers.size[0]
    y = ((np.arange(rows) + 0.5) * height / rows - 0.5 - layers.origin[1] + 0.5) / layers.size[1]
    at_x, at_y = np.meshgrid(x * plate.shape[1] - 0.5, y * plate.shape[0] - 0.5)
    blur = 0.5 * max(plate.shape[1] * width / columns / layers.size[0], 1.0)
    yuv = cv2.GaussianBlur(
        to_yuv(np.clip(plate, 0, 1) * np.float32(255)), (0, 0), blur, borderType=cv2.BORDER_REPLICATE
    )
    return cv2.remap(
        yuv, at_x.astype(np.float32), at_y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _over(below: np.ndarray, layer: np.ndarray) -> None:
    """Lay a premultiplied [h, w, 4] layer over `below`, in place."""
    clear = cv2.bitwise_not(cv2.extractChannel(layer, 3))
    below[...] = cv2.add(layer, cv2.multiply(below, cv2.merge([clear] * 4), scale=1 / 255))


def _responses() -> tuple[np.ndarray, np.ndarray]:
    """What the most light does at each luma, uint8 [256] each: levels of luma that it adds, times `_FINE`, and the
    share that it adds to the colours, of 255. Of what is left up to white, white things get `_HEADROOM`, darker ones
    less, so that letters keep apart, and what is black stays black.
    """
    luma = np.maximum(np.arange(256) - 16, 0) / LUMA_SPAN
    added = np.minimum(_HEADROOM * np.maximum(1 - luma, 0) * (0.75 + 0.25 * luma), _MOST_GROWTH * luma)
    colours = _COLOURS * added / np.maximum(luma, 1 / LUMA_SPAN)
    return _table(_FINE * LUMA_SPAN * added), _table(255 * colours)


def _table(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


_SHINE, _GROWTH = _responses()


def _scaled(part: np.ndarray, black: np.ndarray, by: np.ndarray, ways: tuple[Any, Any]) -> np.ndarray:
    """A channel, its distance from `black` made greater (ways: add, subtract) or smaller by a share, of 255."""
    over, under = (cv2.multiply(cv2.subtract(*pair), by, scale=1 / 255) for pair in ((part, black), (black, part)))
    return ways[1](ways[0](part, over), under)


def _taken(light: np.ndarray) -> np.ndarray:
    """What light takes of what the most light takes, of 255: of weak light more than in proportion, else a white thing
    would not show it.
    """
    return _bytes(1 - (1 - np.clip(light / _MOST_LIGHT, 0, 1)) ** 2)


def _bytes(share: np.ndarray) -> np.ndarray:
    return _table(255 * share)


def _with_channel(yuv: np.ndarray, value: int) -> np.ndarray:
    return cv2.merge([*cv2.split(yuv), np.full(yuv.shape[:2], value, np.uint8)])


def _to_i420(frame: np.ndarray, planes: np.ndarray) -> None:
    """[H, W, 4] YUV -> I420. Chroma is averaged over 2 x 2, so it is sited in the middle: the stream says so."""
    height, width = frame.shape[:2]
    cv2.extractChannel(frame, 0, planes[:height])
    half = cv2.resize(frame, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    chroma = planes[height:].reshape(2, height // 2, width // 2)
    cv2.extractChannel(half, 1, chroma[0])
    cv2.extractChannel(half, 2, chroma[1])
