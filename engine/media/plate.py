"""What is behind the product: real background texture continued inwards, colours corrected by the model's plate."""

from __future__ import annotations

import cv2
import numpy as np

from engine.media.backdrop import fitted_backdrop, near_the_border, with_shadow

_CELLS = 20  # of the coarse grid along the short side: texture finer than a cell is real, coarser colour interpolated
_LEVEL = 3  # how much farther a border may be along the row than along the column and still be taken
_LEAN = 0.35
_LEAST = np.float32(1e-12)
_MERGE = 0.015  # of the short side: holes nearer to each other than twice this are filled as one
_SEAM = 0.003  # of the short side: width over which a fill is blended into the photo
_MAX_SEAM = 16.0  # levels; more is a piece of the product that the mask missed, and must not glow into the fill
_UNSEEN = 4.0  # levels squared: contrast that does not show
_SHAPES = 0.7  # of the surroundings' contrast: what a fill may have of shapes; of grain it may have all
_RAMP = 24.0  # pixels from the hole's border over which the model's colours take over
# The model's colours are believed as far as they foretell the known ring around the hole better than its surroundings,
# smoothly continued, do: wholly where their squared error is a fifth of the other, not at all from three fifths on. On
# eleven held-out scenes unproven colours were worse than none in seven, by 3 dB in what the product uncovers.
_BELIEVED, _DISBELIEVED = 0.2, 0.6
_MOST_TINT = 2.0  # levels of chroma: more of it is the product's own, which the model sees through its outline
_NEARBY = 2.0  # cells over which errors are averaged


def continue_texture(image: np.ndarray, hole: np.ndarray, *, plain: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Fill `hole` (bool [H, W]) of a uint8 [H, W, 3] image.

    Inside is what was mirrored at the nearest borders, no more restless than the surroundings and brought to the
    colours of the seam, so grain and texture run on without smears; where nothing can be mirrored, colours are
    interpolated smoothly. A seam of a few pixels around the hole is blended, not known. A `plain` background goes on in
    its own smooth colours, with its grain.
    Returns the filled image and `depth` uint8 [H, W]: 0 on known pixels, rising to 255 inside, the weight for
    `correct_colours`.
    """
    if not hole.any():
        return image, np.zeros(hole.shape, np.uint8)
    width = max(2, round(_SEAM * min(hole.shape)))
    wide = cv2.dilate(hole.astype(np.uint8), np.ones((2 * width + 1, 2 * width + 1), np.uint8)) > 0
    distance = cv2.distanceTransform(wide.astype(np.uint8), cv2.DIST_L2, 3)
    depth = (np.minimum(distance, _RAMP) * (255 / _RAMP)).astype(np.uint8)
    smooth = _smooth_known(image, wide)
    if wide.all():
        return _to_uint8(_enlarge(smooth, hole.shape)), depth
    cell = max(4, min(hole.shape) // _CELLS)
    top, bottom, left, right = _bounds(wide)
    crop = slice(max(0, top - cell), bottom + cell), slice(max(0, left - cell), right + cell)
    far = (fitted_backdrop(image, wide) if plain else _enlarge(smooth, hole.shape))[crop]
    fill = _mirror_inwards(image, wide, crop, far)
    fill = _calmed(image[crop], fill, wide[crop], far, cell, 0.0 if plain else _SHAPES)
    if plain:
        fill = with_shadow(image[crop], fill, wide[crop], min(hole.shape))
    error = _seam_error(image[crop], fill, (wide & ~hole)[crop])
    fill += error * near_the_border(wide[crop], min(hole.shape))[..., None] if plain else error
    share = np.minimum(distance[wide] / (width + 1), 1)[:, None]
    filled = image.copy()
    filled[wide] = _to_uint8(image[wide] + (fill[wide[crop]] - image[wide]) * share)
    return filled, depth


def correct_colours(background: np.ndarray, depth: np.ndarray, plate: np.ndarray) -> np.ndarray:
    """Bring the low frequencies of a filled `background` to those of `plate` where `depth` says the fill is ours.

    `plate` float32 [rows, columns, 3] is on the coarse grid of `coarse_shape`. Its error on known pixels is
    interpolated into the hole and taken off first, so no seam appears at the border, however far off the model is; and
    it is believed only as far as it is right about the pixels around the hole.
    """
    if not depth.any():
        return background
    size = (plate.shape[1], plate.shape[0])
    known = 1.0 - cv2.resize((depth > 0).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    known[known < 0.5] = 0.0
    if not known.any():
        return background
    smooth = cv2.resize(background, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    error = plate - smooth
    correction = (error - push_pull(error, known)) * _trust(plate, smooth, known)[..., None]
    correction[..., 1:] = np.clip(correction[..., 1:], -_MOST_TINT, _MOST_TINT)
    top, bottom, left, right = _bounds(depth)
    full = _enlarge(correction, depth.shape)[top:bottom, left:right]
    weight = depth[top:bottom, left:right, None].astype(np.float32) / 255
    corrected = background.copy()
    corrected[top:bottom, left:right] = _to_uint8(corrected[top:bottom, left:right] + full * weight)
    return corrected


def _trust(plate: np.ndarray, smooth: np.ndarray, known: np.ndarray) -> np.ndarray:
    """How far `plate` is believed, 0..1 [rows, columns]: the ring of known cells around the hole is hidden too, and
    both the plate and the surroundings alone are asked for it.
    """
    hidden = cv2.dilate((known == 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    beyond, ring = known * ~hidden, ((known > 0) & hidden).astype(np.float32)
    if not beyond.any() or not ring.any():
        return np.zeros_like(known)
    told = plate + push_pull(smooth - plate, beyond)
    squared = [np.square(guess - smooth).sum(-1) * ring for guess in (told, push_pull(smooth, beyond))]
    floor = 0.02 * float(np.mean(squared)) + 1e-6  # where neither has an error worth the name, nothing is proven
    ours, alone = (cv2.GaussianBlur(error, (0, 0), _NEARBY, borderType=cv2.BORDER_REFLECT) + floor for error in squared)
    trust = np.clip((_DISBELIEVED - ours / alone) / (_DISBELIEVED - _BELIEVED), 0, 1)
    return np.asarray(trust, np.float32)


def coarse_shape(height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of the coarse grid for an image."""
    cell = min(height, width) / _CELLS
    return max(2, round(height / cell)), max(2, round(width / cell))


def push_pull(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Interpolate float32 [h, w, 3] smoothly where `weight` [h, w] (0..1) is missing (Gortler et al. 1996)."""
    height, width = weight.shape
    if min(height, width) <= 2 or weight.min() >= 1.0:
        total = max(float(weight.sum()), 1e-6)
        mean = (values * weight[..., None]).sum((0, 1)) / total
        return values * weight[..., None] + mean * (1 - weight[..., None])
    half = ((width + 1) // 2, (height + 1) // 2)
    mass = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    mean = (
        cv2.resize(values * weight[..., None], half, interpolation=cv2.INTER_AREA) / np.maximum(mass, 1e-6)[..., None]
    )
    coarse = push_pull(mean, np.minimum(1.0, mass * 2))
    up = cv2.GaussianBlur(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), (5, 5), 0)
    return values * weight[..., None] + up * (1 - weight[..., None])


def _smooth_known(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Colours on the coarse grid, from known pixels only, float32."""
    rows, columns = coarse_shape(*hole.shape)
    known = (~hole).astype(np.float32)
    mass = cv2.resize(known, (columns, rows), interpolation=cv2.INTER_AREA)
    if not mass.any():
        return cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)
    visible = cv2.bitwise_and(image, image, mask=(~hole).astype(np.uint8))
    total = cv2.resize(visible, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)
    return push_pull(total / np.maximum(mass, 1e-6)[..., None], np.where(mass > 0.25, 1.0, 0.0).astype(np.float32))


def _seam_error(image: np.ndarray, fill: np.ndarray, seam: np.ndarray) -> np.ndarray:
    """What is missing to `image` on the seam, spread smoothly over the hole: as cloning in the gradient domain does."""
    rows, columns = (4 * side for side in coarse_shape(*seam.shape))
    mass = cv2.resize(seam.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    error = np.where(seam[..., None], np.clip(image - fill, -_MAX_SEAM, _MAX_SEAM), np.float32(0))
    mean = cv2.resize(error, (columns, rows), interpolation=cv2.INTER_AREA) / np.maximum(mass, 1e-6)[..., None]
    return cv2.resize(push_pull(mean, np.minimum(1, 4 * mass)), seam.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _calmed(
    image: np.ndarray, fill: np.ndarray, hole: np.ndarray, smooth: np.ndarray, cell: int, most_shapes: float
) -> np.ndarray:
    """`fill` whose contrast is nowhere above that of the surroundings nearby: what is mirrored from farther in brings
    shards of whatever stands there. Shapes and grain are held apart, so that a wall without shapes keeps its grain.
    """
    size = (-(-2 * hole.shape[1] // cell), -(-2 * hole.shape[0] // cell))
    ring = cv2.dilate(hole.astype(np.uint8), np.ones((2 * cell + 1, 2 * cell + 1), np.uint8)) > hole
    away = fill - smooth
    shapes = cv2.GaussianBlur(away, (0, 0), cell / 12)
    near = np.where(hole[..., None], 0, image - smooth)
    rough = cv2.GaussianBlur(near, (0, 0), cell / 12)
    calm = smooth.copy()
    for ours, theirs, most in ((shapes, rough, most_shapes), (away - shapes, near - rough, 1.0)):
        if not most:
            continue
        limit = push_pull(*_energy(theirs, ring, size))
        energy, _ = _energy(ours, hole, size)
        gain = np.sqrt(np.minimum(1, (most**2 * limit.max(-1) + _UNSEEN) / (energy.max(-1) + _UNSEEN)))
        gain = cv2.GaussianBlur(gain, (0, 0), 1, borderType=cv2.BORDER_REPLICATE)
        calm += ours * cv2.resize(gain, hole.shape[::-1], interpolation=cv2.INTER_LINEAR)[..., None]
    return calm


def _energy(values: np.ndarray, where: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Mean square of `values` on a grid of `size` where there are some, float32 [h, w, 3], and whether there are."""
    mass = cv2.resize(where.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    square = np.where(where[..., None], np.square(values), np.float32(0))
    mean = cv2.resize(square, size, interpolation=cv2.INTER_AREA) / np.maximum(mass, 1e-6)[..., None]
    return mean.astype(np.float32), np.minimum(1, 8 * mass)


def _mirror_inwards(image: np.ndarray, hole: np.ndarray, crop: tuple[slice, slice], smooth: np.ndarray) -> np.ndarray:
    """Fill each part of the hole with its surroundings, mirrored at its borders; float32 [h, w, 3] of the crop.

    Every hole pixel mixes four mirror images, along its row to the left and right and along its column; the nearest
    border weighs by far the most, so there is no crease where they meet. Rows come before columns: table tops, shelves
    and horizons run level, and mirrored along the row they go on. `smooth` is taken where nothing can be mirrored.
    """
    reach = 2 * max(1, round(_MERGE * min(hole.shape))) + 1
    together = cv2.dilate(hole.astype(np.uint8), np.ones((reach, reach), np.uint8))
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(together)
    fill = image[crop].astype(np.float32)
    corner = crop[0].start, crop[1].start
    for number, (left, top, width, height, _) in list(enumerate(boxes))[1:]:
        rows, columns = slice(top, top + height), slice(left, left + width)
        own = hole[rows, columns] & (labels[rows, columns] == number)
        y, x = (place.astype(np.int32) for place in np.nonzero(own))
        y, x = y + top, x + left
        inside = y - corner[0], x - corner[1]
        total, weights = smooth[inside] * _LEAST, np.full((len(y), 1), _LEAST)
        for source, weight in _mirror_lines(hole[rows], own, y - top, x, left):
            total += image[y, source] * weight
            weights += weight
        for source, weight in _mirror_lines(hole[:, columns].T, own.T, x - left, y, top):
            weight *= np.float32(_LEVEL**-4)
            total += image[source, x] * weight
            weights += weight
        fill[inside] = total / weights
    return fill


def _mirror_lines(
    hole: np.ndarray, own: np.ndarray, line: np.ndarray, place: np.ndarray, start: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For pixels at (line, place): where each takes its value from in its own line, before and after; and the weight.

    `hole` [lines, length] says what is unknown, `own` the part of it being filled, whose columns begin at `start`.
    Where the known run beside the border is shorter than the way in, it is mirrored back and forth. The weight [n, 1]
    falls with the fourth power of the distance.
    """
    first, last = (outline + start for outline in _outline(own))
    length = hole.shape[1]
    at = np.arange(length, dtype=np.int32)
    found = []
    for border, step in ((first - 1, -1), (last + 1, 1)):
        ahead = hole & ((at <= border[:, None]) if step < 0 else (at >= border[:, None]))
        stop = length - 1 - ahead[:, ::-1].argmax(1) if step < 0 else ahead.argmax(1)
        stop = np.where(ahead.any(1), stop, -1 if step < 0 else length)
        run = np.maximum(np.abs(stop - border), 1).astype(np.int32)[line]
        begin = border.astype(np.int32)[line]
        distance = np.abs(place - begin)
        way = distance % (2 * run)
        source = begin + step * np.where(way < run, way, 2 * run - 1 - way)
        usable = (stop != border)[line] & (source >= 0) & (source < length)
        near = np.minimum(np.float32(1), run.astype(np.float32) / distance) * np.square(np.float32(16) / distance)
        found.append((np.clip(source, 0, length - 1), (usable * np.square(near))[:, None].astype(np.float32)))
    return found


def _outline(own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last column of the hole in each row, as a line around it that never leans more than `_LEAN`.

    A mirror that follows every hair would shear the texture into streaks.
    """
    some = own.any(1)
    first = np.where(some, own.argmax(1), 1 << 20)
    last = np.where(some, own.shape[1] - 1 - own[:, ::-1].argmax(1), -(1 << 20))
    return _lean(first), -_lean(-last)


def _lean(line: np.ndarray) -> np.ndarray:
    """The largest line below `line` whose slope stays within `_LEAN`."""
    slope = _LEAN * np.arange(len(line))
    down = np.minimum.accumulate(line - slope) + slope
    up = (np.minimum.accumulate((line + slope)[::-1]))[::-1] - slope
    return np.floor(np.minimum(down, up)).astype(np.int64)


def _enlarge(coarse: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def _bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    x, y, width, height = cv2.boundingRect((mask > 0).astype(np.uint8))
    return y, y + height, x, x + width


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)
