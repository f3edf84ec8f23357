"""How a film looks: sharpness, halo, the first frame, revealed pixels. Images are RGB, 0..255, sizes in pixels."""

from __future__ import annotations

import cv2
import numpy as np

from engine.generate import Prepared
from engine.media.compose import Compositor
from engine.media.fields import MotionFields
from trainer.evaluate import flow
from trainer.evaluate.motion import Answers
from trainer.evaluate.scenes import View, World, behind_product, exact_frame, exact_motion, moved_layers

HALO_REACH = 16  # pixels around the outline that are looked at
HALO_LEVEL = 0.12  # share of the other side's colour that counts as halo
_CONTRAST = 40.0  # least distance of colours across the outline for a halo to show
_FEW = 40  # pixels at one distance: fewer say nothing
_REVEALED = 0.001  # of the frame: fewer revealed pixels are not scored


def first_frame_psnr(world: World, prepared: Prepared, fields: MotionFields) -> float:
    """The first frame before encoding against the photo, in dB."""
    return psnr(Compositor(prepared.layers, fields).frame(0.0), world.photo[world.window])


def revealed_pixels(world: World, answers: Answers) -> tuple[np.ndarray, np.ndarray] | None:
    """Where the last frame must show what the product hid in the photo (bool [H, W]), and the exact last frame."""
    exact = exact_motion(world, answers.asked, 1.0, (world.size[1], world.size[0]))
    revealed = (exact.alpha < 0.02) & (behind_product(world, exact.scene) > 0.05)
    if revealed.mean() < _REVEALED:
        return None
    return revealed, exact_frame(world, answers.asked)


def sharpness(world: World, frames: list[np.ndarray]) -> float | None:
    """Laplacian variance in the product, last frame over the photo warped by the film's own flow with Lanczos."""
    pictures = [flow.small(frame) for frame in frames]
    back = flow.backward_flows(pictures)[-1]
    height, width = frames[0].shape[:2]
    factor = width / back.shape[1]
    full = cv2.resize(back, (width, height), interpolation=cv2.INTER_CUBIC) * factor
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    places = x + full[..., 0], y + full[..., 1]
    mask = cv2.remap(world.mask[world.window], *places, cv2.INTER_LINEAR)
    inside = flow.eroded(mask > 250, max(4, round(0.006 * width)))
    if inside.mean() < 0.005:
        return None
    warped = cv2.remap(world.photo[world.window], *places, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101)
    return _detail(frames[-1], inside) / max(_detail(warped, inside), 1e-6)


def halo(world: World, fields: MotionFields, last: np.ndarray, view: View | None = None) -> float | None:
    """Widest band beside the product's outline, in pixels, that shows colour of the other side, out- or inwards.

    The outline is that of the exact layers moved by the film's own fields, so an unexpected motion is no halo.
    """
    reference, alpha = moved_layers(world, fields, view)
    return halo_width(last.astype(np.float32), reference, alpha)


def halo_width(picture: np.ndarray, reference: np.ndarray, alpha: np.ndarray) -> float | None:
    """As `halo`, for pictures float32 [H, W, 3] and the exact alpha [H, W] in 0..1."""
    widths = [
        _stained(picture, reference, alpha < 0.02, alpha > 0.98),
        _stained(picture, reference, alpha > 0.98, alpha < 0.02),
    ]
    known = [width for width in widths if width is not None]
    return max(known) if known else None


def psnr(picture: np.ndarray, reference: np.ndarray, where: np.ndarray | None = None) -> float:
    """In dB over the pixels of `where`, at most 99."""
    off = np.square(picture.astype(np.float32) - reference.astype(np.float32))
    error = float((off if where is None else off[where]).mean())
    return float(min(99.0, 10 * np.log10(255**2 / max(error, 1e-9))))


def _stained(picture: np.ndarray, reference: np.ndarray, side: np.ndarray, other: np.ndarray) -> float | None:
    """Distance up to which `side` shows the colour that `other` has across the outline, on average along it."""
    if not side.any() or not other.any():
        return None
    distance = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, 5)
    begin = float(distance[side].min()) if side.any() else 0.0
    band = side & (distance < HALO_REACH + 4)
    across = _across(reference, other)[band]
    own, seen, far = reference[band], picture[band], distance[band]
    apart = across - own
    contrast = np.square(apart).sum(-1)
    share = ((seen - own) * apart).sum(-1) / np.maximum(contrast, 1.0)
    clear = contrast > _CONTRAST**2
    width = 0.0
    for step in range(HALO_REACH):
        ring = clear & (far >= begin + step) & (far < begin + step + 1)
        if ring.sum() < _FEW:
            return None if step == 0 else width
        if np.clip(share[ring], -1, 1).mean() < HALO_LEVEL:
            return width
        width = step + 1.0
    return width


def _across(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """At every pixel the reference's colour at the nearest pixel some way inside `other`."""
    inner = flow.eroded(other, 3)
    solid = inner if inner.any() else other
    smooth = cv2.blur(reference, (3, 3))
    _, nearest = cv2.distanceTransformWithLabels(
        (~solid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    place = np.flatnonzero(solid)
    pixel_of_label = np.zeros(int(nearest.max()) + 1, np.int64)
    pixel_of_label[nearest.reshape(-1)[place]] = place
    return smooth.reshape(-1, 3)[pixel_of_label[nearest]]


def _detail(picture: np.ndarray, where: np.ndarray) -> float:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(grey, cv2.CV_32F)[where].var())
