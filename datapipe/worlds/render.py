"""Scene -> pixels: every layer whole, as the photo camera sees it, and their composite."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from datapipe.worlds.drawing import Grid, blur, draw_body, paint_part, ramp, texture
from datapipe.worlds.materials import Rgb
from datapipe.worlds.scene import Grade, Plane, Product, Scene
from datapipe.worlds.shapes import Body, rotated
from datapipe.worlds.textures import sample_aligned, sample_warped

_LUMA = np.array([[0.299, 0.587, 0.114]] * 3, np.float32)


@dataclass(frozen=True)
class Layers:
    """All arrays share the canvas: the frame plus `pad_x`, `pad_y` pixels on each side. Colours are straight RGB.

    planes: far to near (rgb uint8 [h, w, 3], alpha uint8 [h, w]), also what nearer layers hide.
    composite = product over plate; plate = all planes over each other, the product's shadow included.
    """

    planes: list[tuple[np.ndarray, np.ndarray]]
    product_rgb: np.ndarray
    product_alpha: np.ndarray
    composite: np.ndarray
    plate: np.ndarray
    pad_x: int
    pad_y: int


def render_layers(scene: Scene, height: int, width: int, margin: float = 0.0, supersample: int = 2) -> Layers:
    """Draw a scene whose frame is height x width pixels; the canvas is `margin` of the frame larger on every side.

    ValueError: a size below 8 px, a margin outside 0..0.5 or a supersample outside 1..4.
    """
    if min(height, width) < 8:
        raise ValueError("A frame is at least 8 pixels high and wide.")
    if not 0 <= margin <= 0.5 or not 1 <= supersample <= 4:
        raise ValueError("The margin lies between 0 and 0.5, the supersampling between 1 and 4.")
    grid, pad_x, pad_y = canvas_grid(scene, height, width, margin)
    grade = _Grader(scene.grade, grid, scene)
    patches = [_plane(plane, scene, grid, supersample) for plane in scene.planes]
    behind = None
    if any(part.paint.glass for part in scene.product.body.parts):
        behind = patches[0].rgb.astype(np.float32)
        for patch in patches[1:]:
            patch.over(behind)
    product = grade(_product(scene.product, grid, supersample, behind))
    patches = [grade(patch) for patch in patches]
    plate = patches[0].rgb.astype(np.float32)
    for patch in patches[1:]:
        patch.over(plate)
    composite = plate.copy()
    product.over(composite)
    product_rgb, product_alpha = product.whole(grid)
    return Layers(
        [p.whole(grid) for p in patches], product_rgb, product_alpha, _bytes(composite), _bytes(plate), pad_x, pad_y
    )


def graded(scene: Scene, colour: Rgb) -> Rgb:
    """A colour as the photograph's look shows it, but for vignette and noise."""
    pixel = np.array(colour, np.float32).clip(0, 255).astype(np.uint8).reshape(1, 1, 3)
    look = _Grader(replace(scene.grade, vignette=0.0, noise=0.0), Grid(0, 0, 1, 1, 1, 1), scene)
    red, green, blue = look(_Patch(pixel, None, slice(0, 1), slice(0, 1))).rgb[0, 0].tolist()
    return red, green, blue


@dataclass(frozen=True)
class _Patch:
    """A layer inside its box of the canvas; outside it is transparent. alpha None: opaque."""

    rgb: np.ndarray
    alpha: np.ndarray | None
    rows: slice
    columns: slice

    def over(self, image: np.ndarray) -> None:
        """Put this layer over a float image of the whole canvas."""
        if self.alpha is None or self.alpha.size == 0:
            return
        below = image[self.rows, self.columns]
        share = cv2.merge((self.alpha, self.alpha, self.alpha)).astype(np.float32)
        share *= np.float32(1 / 255)
        below += (self.rgb - below) * share

    def whole(self, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        if self.alpha is None:
            return self.rgb, np.full((grid.height, grid.width), 255, np.uint8)
        if self.alpha.shape == (grid.height, grid.width):
            return self.rgb, self.alpha
        rgb = np.zeros((grid.height, grid.width, 3), np.uint8)
        alpha = np.zeros((grid.height, grid.width), np.uint8)
        if self.alpha.size:
            rgb[:] = self.rgb.mean((0, 1)).astype(np.uint8)
            rgb[self.rows, self.columns], alpha[self.rows, self.columns] = self.rgb, self.alpha
        return rgb, alpha


def canvas_grid(scene: Scene, height: int, width: int, margin: float) -> tuple[Grid, int, int]:
    ax, ay = float(np.sqrt(scene.aspect)), float(1 / np.sqrt(scene.aspect))
    pad_x, pad_y = round(margin * width), round(margin * height)
    sx, sy = width / (2 * ax), height / (2 * ay)
    return Grid(-ax - pad_x / sx, -ay - pad_y / sy, sx, sy, width + 2 * pad_x, height + 2 * pad_y), pad_x, pad_y


def _bytes(image: np.ndarray) -> np.ndarray:
    return cv2.convertScaleAbs(image)  # rounds and saturates; the values are never negative


def _plane(plane: Plane, scene: Scene, grid: Grid, supersample: int) -> _Patch:
    everything = (slice(0, grid.height), slice(0, grid.width))
    if plane.kind == "backdrop":
        return _Patch(_backdrop(plane, grid), None, *everything)
    if plane.kind == "floor":
        return _Patch(*_floor(plane, scene, grid), *everything)
    assert plane.body is not None
    return _soft_body(plane.body, plane.blur, grid, supersample)


def _backdrop(plane: Plane, grid: Grid) -> np.ndarray:
    assert plane.paint is not None
    image = np.empty((grid.height, grid.width, 3), np.float32)
    image[:] = texture(plane.paint, grid)
    xs, ys = grid.xs(), grid.ys()
    (gx, gy), rgb = plane.slope, np.array(plane.slope_rgb, np.float32)
    if gx or gy:
        lean = np.clip(0.5 + gx * xs[None] + gy * ys[:, None], 0, 1).astype(np.float32)
        image += (rgb - image) * lean[..., None]
    if plane.decor:
        painted = _bytes(np.maximum(image, 0))
        for part in plane.decor:
            paint_part(painted, None, part, grid, False, None)
        image = painted.astype(np.float32)
    if plane.blur:
        image = blur(image, plane.blur * grid.sy)
    for x, y, radius, colour, strength in plane.bokeh:
        _bokeh(image, grid, x, y, radius, colour, strength)
    _lights(image, plane, xs, ys)
    _shadows(image, plane, xs, ys)
    return _bytes(image)


def _bokeh(
    image: np.ndarray, grid: Grid, x: float, y: float, radius: float, colour: tuple[float, ...], strength: float
) -> None:
    inner, rows, columns = grid.crop((x - radius, y - radius, x + radius, y + radius), 2)
    if inner.width < 1 or inner.height < 1:
        return
    distance = np.sqrt((inner.xs()[None] - x) ** 2 + (inner.ys()[:, None] - y) ** 2)
    soft = max(0.012, 1 / grid.sx)
    disc = (
        np.clip((radius - distance) / soft + 0.5, 0, 1)
        * (0.75 + 0.25 * np.clip(distance / radius, 0, 1) ** 4)
        * strength
    )
    target = image[rows, columns]
    target += (np.array(colour, np.float32) - target) * disc[..., None].astype(np.float32)


def _lights(image: np.ndarray, plane: Plane, xs: np.ndarray, ys: np.ndarray) -> None:
    for x, y, rx, ry, colour, strength in plane.glows:
        spot = np.exp(-(((ys - y) / ry) ** 2))[:, None] * np.exp(-(((xs - x) / rx) ** 2))[None] * np.float32(strength)
        image += spot[..., None] * np.array(colour, np.float32)


def _shadows(image: np.ndarray, plane: Plane, xs: np.ndarray, ys: np.ndarray) -> None:
    if not plane.shadows:
        return
    keep: np.ndarray | float = 1.0
    for x, y, rx, ry, strength in plane.shadows:
        dark = np.exp(-(((ys - y) / ry) ** 2))[:, None] * np.exp(-(((xs - x) / rx) ** 4))[None]
        keep = keep * (1 - np.float32(strength) * dark)
    image *= np.asarray(keep, np.float32)[..., None]


def _floor(plane: Plane, scene: Scene, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Colours and coverage; below the seam the texture lies in perspective."""
    assert plane.paint is not None
    paint = plane.paint
    xs, ys = grid.xs(), grid.ys()
    edge = np.clip((ys - plane.seam) * grid.sy + 0.5, 0, 1)
    alpha = np.repeat((edge * 255 + 0.5).astype(np.uint8)[:, None], grid.width, 1)
    image = np.empty((grid.height, grid.width, 3), np.float32)
    image[:] = np.array(paint.mid, np.float32)
    start = int(np.argmax(edge > 0)) if edge.any() else grid.height
    if start == grid.height:
        return _bytes(image), alpha
    seen, rows = image[start:], ys[start:]
    drop = plane.contact - plane.horizon
    depth = drop / np.maximum(rows - plane.horizon, 1e-3)
    if paint.tile is not None:
        seen[:] = ramp(paint)[_floor_texture(plane, grid, start, drop)]
    fall = 1 - plane.falloff * np.clip((depth - 1) / 2.5, -0.3, 1)
    seen *= fall[:, None, None].astype(np.float32)
    if plane.haze:
        share = (plane.haze * np.clip((depth - 1.2) / max(plane.depth - 1.2, 0.1), 0, 1)).astype(np.float32)[
            :, None, None
        ]
        seen += (np.array(plane.haze_rgb, np.float32) - seen) * share
    if plane.blur:
        far = np.clip((depth - 1.3) / 2, 0, 1).astype(np.float32)[:, None, None]
        seen += (blur(seen, plane.blur * grid.sy) - seen) * far
    _lights(seen, plane, xs, rows)
    _shadows(seen, plane, xs, rows)
    if plane.cast:
        _cast_shadow(image, plane, scene, grid)
    return _bytes(np.maximum(image, 0)), alpha


def _floor_texture(plane: Plane, grid: Grid, start: int, drop: float) -> np.ndarray:
    paint = plane.paint
    assert paint is not None and paint.tile is not None
    pixel = np.array(
        [[1 / grid.sx, 0, grid.x0 + 0.5 / grid.sx], [0, 1 / grid.sy, grid.y0 + (start + 0.5) / grid.sy], [0, 0, 1]]
    )
    ground = np.array([[drop, 0, 0], [0, 0, 1.6 * drop], [0, 1, -plane.horizon]])
    c, s = np.cos(plane.yaw) / paint.scale, np.sin(plane.yaw) / paint.scale
    lay = np.array([[c, -s, paint.offset[0]], [s, c, paint.offset[1]], [0, 0, 1]])
    step = 2.0 / (grid.sx * paint.scale)
    size = (grid.width, grid.height - start)
    return sample_warped(paint.tile, paint.variant, lay @ ground @ pixel, size, step).astype(np.uint8)


def _cast_shadow(image: np.ndarray, plane: Plane, scene: Scene, grid: Grid) -> None:
    """The product's silhouette laid on the floor, away from the light."""
    assert plane.cast is not None
    lean, flat, strength = plane.cast
    outlines = []
    for outline in scene.product.outlines():
        rise = plane.contact - outline[:, 1]
        outlines.append(np.stack([outline[:, 0] + lean * rise, plane.contact - flat * rise], 1))
    half = Grid(grid.x0, grid.y0, grid.sx / 2, grid.sy / 2, (grid.width + 1) // 2, (grid.height + 1) // 2)
    mask = np.zeros((half.height, half.width), np.uint8)
    for outline in outlines[:4]:
        cv2.fillPoly(mask, [half.fixed(outline)], 255, cv2.LINE_AA, 4)
    dark = blur(mask, 0.04 * half.sy)
    dark = cv2.resize(dark, (grid.width, grid.height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    image *= (1 - dark * np.float32(strength / 255))[..., None]


def _soft_body(body: Body, radius: float, grid: Grid, supersample: int) -> _Patch:
    """A body out of focus by radius (isotropic units)."""
    spread = int(3 * radius * max(grid.sx, grid.sy)) + 1
    inner, rows, columns = grid.crop(body.bounds(), 1 + spread)
    if inner.width < 2 or inner.height < 2:
        return _nothing()
    rgb, alpha = _reduce(*draw_body(body, inner.finer(supersample)), supersample)
    if radius * grid.sy >= 0.3:
        rgb, alpha = _blurred(rgb, alpha, radius * grid.sy)
    return _Patch(rgb, alpha, rows, columns)


def _nothing() -> _Patch:
    return _Patch(np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0), np.uint8), slice(0, 0), slice(0, 0))


def _blurred(rgb: np.ndarray, alpha: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Blur with colours weighted by coverage."""
    packed = np.empty((*alpha.shape, 4), np.float32)
    packed[..., 3] = alpha
    packed[..., 3] += 0.5  # keeps a colour where nothing is covered
    packed[..., :3] = rgb * packed[..., 3:]
    packed = blur(packed, sigma)
    weight = packed[..., 3:]
    return _bytes(packed[..., :3] / weight), _bytes(np.maximum(weight[..., 0] - 0.5, 0))


def _reduce(rgb: np.ndarray, alpha: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Average factor x factor pixels with colours weighted by coverage."""
    if factor == 1:
        return rgb, alpha
    size = (rgb.shape[1] // factor, rgb.shape[0] // factor)
    weighted = cv2.multiply(rgb, cv2.merge((alpha, alpha, alpha)), scale=1 / 255)
    weighted = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA)
    cover = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    plain = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    mixed = weighted.astype(np.float32) * (255 / np.maximum(cover, 1).astype(np.float32))[..., None]
    return np.where(cover[..., None] > 8, _bytes(mixed), plain), cover


def _product(product: Product, grid: Grid, supersample: int, plate: np.ndarray | None) -> _Patch:
    inner, rows, columns = grid.crop(product.bounds(), 2)
    if inner.width < 2 or inner.height < 2:
        return _nothing()
    fine = inner.finer(supersample)
    if product.tilt:
        return _Patch(*_reduce(*_tilted(product, fine), supersample), rows, columns)
    behind = None
    if plate is not None:
        seen = blur(plate[rows, columns], 0.02 * grid.sy)
        behind = cv2.resize(seen, (fine.width, fine.height), interpolation=cv2.INTER_LINEAR)
    return _Patch(*_reduce(*draw_body(product.body, fine, behind), supersample), rows, columns)


def _tilted(product: Product, fine: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Drawn upright on its own raster, then turned about the pivot."""
    x0, y0, x1, y1 = product.body.bounds()
    pad = 3
    upright = Grid(
        x0 - pad / fine.sx,
        y0 - pad / fine.sy,
        fine.sx,
        fine.sy,
        int((x1 - x0) * fine.sx) + 2 * pad + 1,
        int((y1 - y0) * fine.sy) + 2 * pad + 1,
    )
    colours, cover = draw_body(product.body, upright)
    packed = cv2.merge((*cv2.split(colours), cover))
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    back = rotated(
        corners / (fine.sx, fine.sy) + (fine.x0 + 0.5 / fine.sx, fine.y0 + 0.5 / fine.sy), -product.tilt, *product.pivot
    )
    back = (back - (upright.x0, upright.y0)) * (fine.sx, fine.sy) - 0.5
    matrix = np.stack([back[1] - back[0], back[2] - back[0], back[0]], 1)
    edge = (*product.body.parts[0].paint.mid, 0.0)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    packed = cv2.warpAffine(
        packed, matrix, (fine.width, fine.height), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=edge
    )
    return np.ascontiguousarray(packed[..., :3]), np.ascontiguousarray(packed[..., 3])


class _Grader:
    """The photograph's own look, the same for every layer: contrast, gamma, cast, vignette and sensor noise."""

    def __init__(self, grade: Grade, grid: Grid, scene: Scene) -> None:
        levels = np.linspace(0, 1, 256, dtype=np.float32)[:, None] * np.array(grade.gain, np.float32)
        levels = np.clip(0.5 + (levels - 0.5) * grade.contrast, 0, 1) ** grade.gamma
        levels = 255 * (grade.lift + (1 - grade.lift) * levels)
        self.table = (levels if grade.saturation else levels.mean(1, keepdims=True) + 0 * levels).astype(np.uint8)[None]
        self.colour = (np.eye(3, dtype=np.float32) * grade.saturation + _LUMA * (1 - grade.saturation)).astype(
            np.float32
        )
        self.plain = abs(grade.saturation - 1) < 1e-3
        xs, ys = grid.xs(), grid.ys()
        self.screen = None
        if grade.vignette or grade.noise:
            fall = 1 - grade.vignette * 0.5 * (xs[None] ** 2 * scene.aspect**-1 + ys[:, None] ** 2 * scene.aspect) * 0.5
            self.screen = np.clip(fall, 0.2, 1).astype(np.float32)[..., None]
        self.noise = None
        if grade.noise:
            grey = sample_aligned("grain", scene.seed % 4, xs * 0.7 + grade.shift, ys * 0.7 + grade.shift)
            self.noise = ((grey - 128) * np.float32(grade.noise))[..., None]

    def __call__(self, patch: _Patch) -> _Patch:
        if patch.rgb.size == 0:
            return patch
        rgb = patch.rgb if self.plain else cv2.transform(patch.rgb, self.colour)
        rgb = cv2.LUT(rgb, self.table)
        if self.screen is not None:
            shaded = rgb * self.screen[patch.rows, patch.columns]
            if self.noise is not None:
                shaded += self.noise[patch.rows, patch.columns]
            rgb = _bytes(np.maximum(shaded, 0))
        return replace(patch, rgb=rgb)
