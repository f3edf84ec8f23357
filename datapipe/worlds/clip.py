"""A training clip: one generated photo, an exact motion of it, and what a user might have asked to get it.

Fields follow `engine.media.fields.MotionFields`: backward offsets in fractions of the frame, 17 key times. They are
stored without the first key, which is zero by definition.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from datapipe.worlds import captions
from datapipe.worlds.motion import (
    CAMERA_MOVES,
    FOCAL,
    KEYS,
    SUBJECT_MOTIONS,
    Motion,
    grid_points,
    plane_map,
    product_map,
    sample_motion,
    sweep_light,
    world_pose,
)
from datapipe.worlds.render import Layers, render_layers
from datapipe.worlds.scene import Plane, Scene, sample_scene

# Grid of the photo that the model sees; its sides divide by 8. Fields have half of it.
GRIDS: dict[str, tuple[int, int]] = {"9:16": (80, 48), "1:1": (64, 64), "4:5": (72, 56), "16:9": (48, 80)}
ASPECTS: dict[str, float] = {"9:16": 9 / 16, "1:1": 1.0, "4:5": 4 / 5, "16:9": 16 / 9}
MARGIN = 0.2  # canvas beyond the frame, per side: bounds what a backward map may ask for


@dataclass(frozen=True)
class Picture:
    """What is known of a scene at photo time, on an H x W grid (uint8)."""

    rgb: np.ndarray  # [H, W, 3]
    mask: np.ndarray  # [H, W]
    plate: np.ndarray  # [H, W, 3], the scene without the product
    disparity: np.ndarray  # [H / 2, W / 2] float32, 1 / depth of the scene, behind the product too; the product's is 1


@dataclass(frozen=True)
class Fields:
    """Exact motion at the 16 key times after the first, on an h x w grid (float32)."""

    scene_flow: np.ndarray  # [16, h, w, 2] fractions of the frame
    product_flow: np.ndarray  # [16, h, w, 2]
    light: np.ndarray  # [16, h, w]
    product_alpha: np.ndarray  # [16, h, w] where the product is at that time


@dataclass(frozen=True)
class Controls:
    """What the user chose: 'auto' where the choice is left to prompt and model."""

    camera: str
    camera_strength: float
    subject: str
    subject_strength: float
    prompt: str
    # What the prompt says, "auto" where it says nothing of it: the controls win, so this may differ from them.
    said_camera: str = "auto"
    said_camera_strength: float = 0.0
    said_subject: str = "auto"
    said_subject_strength: float = 0.0


def draw_picture(scene: Scene, height: int, width: int) -> tuple[Picture, Layers]:
    """The photo of a scene at height x width, and the layers it is made of (with margin, for `exact_fields`)."""
    layers = render_layers(scene, height, width, margin=MARGIN)
    inner = np.s_[layers.pad_y : layers.pad_y + height, layers.pad_x : layers.pad_x + width]
    disparity = exact_disparity(scene, layers, height // 2, width // 2)
    return Picture(layers.composite[inner], layers.product_alpha[inner], layers.plate[inner], disparity), layers


def exact_disparity(scene: Scene, layers: Layers, height: int, width: int) -> np.ndarray:
    """1 / depth [h, w] (float32, product depths) of whatever scene plane shows in the photo, behind the product too."""
    points_HW2 = grid_points(scene.aspect, height, width)
    rays_HW3 = np.concatenate([points_HW2 / FOCAL, np.ones_like(points_HW2[..., :1])], -1)
    nearest_HW = np.zeros(points_HW2.shape[:2], np.float32)
    for index, (plane, (_, alpha)) in enumerate(zip(scene.planes, layers.planes, strict=True)):
        normal, distance = plane_equation(plane)
        disparity_HW = (rays_HW3 @ normal / distance).astype(np.float32)
        shows_HW = sample_canvas(alpha, points_HW2[None], scene.aspect, layers)[0] > 127
        nearest_HW = np.where(shows_HW | (index == 0), disparity_HW, nearest_HW)
    return nearest_HW.clip(0)


def exact_fields(scene: Scene, layers: Layers, motion: Motion, height: int, width: int, keys: int = KEYS) -> Fields:
    """Exact fields of a motion on a height x width grid, at `keys` times of which the first is left out."""
    tau_T = np.linspace(0, 1, keys)[1:]
    points_HW2 = grid_points(scene.aspect, height, width)
    product = scene.product
    pose = world_pose(motion, scene.aspect, (product.x, product.y), tau_T)
    scene_THW2 = _scene_map(scene, layers, points_HW2, pose)
    product_THW2 = product_map(
        points_HW2, motion, scene.aspect, (product.x, product.y), product.half_width, product.bulge, tau_T
    )
    light_THW = sweep_light_from_start(product_THW2, points_HW2, motion, scene, tau_T)
    frame = 2 * np.array([np.sqrt(scene.aspect), 1 / np.sqrt(scene.aspect)], np.float32)
    return Fields(
        scene_flow=((scene_THW2 - points_HW2) / frame).astype(np.float32),
        product_flow=((product_THW2 - points_HW2) / frame).astype(np.float32),
        light=light_THW,
        product_alpha=sample_canvas(layers.product_alpha, product_THW2, scene.aspect, layers) / np.float32(255),
    )


def sweep_light_from_start(
    product_THW2: np.ndarray, points_HW2: np.ndarray, motion: Motion, scene: Scene, tau_T: np.ndarray
) -> np.ndarray:
    """`sweep_light` relative to the photo's own time, which is not among `tau_T`."""
    product = scene.product
    from_start = np.concatenate([points_HW2[None], product_THW2])
    times = np.concatenate([[0.0], tau_T])
    return sweep_light(from_start, motion, (product.x, product.y), (product.half_width, product.half_height), times)[1:]


def sample_controls(motion: Motion, words: dict[str, str], rng: np.random.Generator) -> Controls:
    """What a user may have asked to get this motion: explicit controls always hold, the prompt only where they are
    auto.
    """
    camera_explicit, subject_explicit = rng.random() < 0.55, rng.random() < 0.55
    parts: list[str] = []
    said: dict[str, str | float] = {}
    if rng.random() < (0.5 if camera_explicit else 0.85):
        shown = _maybe_conflicting(motion, camera_explicit, rng)
        parts.append(captions.camera_phrase(shown, rng))
        said |= {"said_camera": shown.camera, "said_camera_strength": captions.said_strength(shown.camera_strength)}
    if rng.random() < (0.5 if subject_explicit else 0.8):
        shown = _maybe_conflicting(motion, subject_explicit, rng)
        parts.append(captions.subject_phrase(shown, words["product"], rng))
        said |= {"said_subject": shown.subject, "said_subject_strength": captions.said_strength(shown.subject_strength)}
    if rng.random() < 0.5:
        parts.append(captions.scene_phrase(words, rng))
    return Controls(
        camera=motion.camera if camera_explicit else "auto",
        camera_strength=motion.camera_strength,
        subject=motion.subject if subject_explicit else "auto",
        subject_strength=motion.subject_strength,
        prompt=captions.compose(parts, rng) if parts else "",
        **said,  # type: ignore[arg-type]
    )


def make_clips(seed: int, format: str, motions: int) -> tuple[Picture, Scene, list[tuple[Motion, Fields]]]:
    """One scene of a format and `motions` motions of it, all by seed."""
    rng = np.random.default_rng(seed)
    height, width = GRIDS[format]
    scene = sample_scene(rng, ASPECTS[format])
    picture, layers = draw_picture(scene, height, width)
    drawn = [sample_motion(rng) for _ in range(motions)]
    return picture, scene, [(m, exact_fields(scene, layers, m, height // 2, width // 2)) for m in drawn]


def _maybe_conflicting(motion: Motion, explicit: bool, rng: np.random.Generator) -> Motion:
    """A prompt may contradict an explicit control; then the control wins, and this is how the model learns it."""
    if not explicit or rng.random() > 0.5:
        return motion
    return replace(motion, camera=str(rng.choice(CAMERA_MOVES)), subject=str(rng.choice(SUBJECT_MOTIONS)))


def _scene_map(scene: Scene, layers: Layers, points_HW2: np.ndarray, pose: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Backward map of whatever scene plane shows at each point, behind the product too: [T, h, w, 2]."""
    nearest_THW2: np.ndarray | None = None
    for plane, (_, alpha) in zip(scene.planes, layers.planes, strict=True):
        normal, distance = plane_equation(plane)
        source_THW2, visible_THW = plane_map(points_HW2, *pose, normal, distance)
        if nearest_THW2 is None:
            nearest_THW2 = source_THW2
            continue
        shows_THW = visible_THW & (sample_canvas(alpha, source_THW2, scene.aspect, layers) > 127)
        nearest_THW2 = np.where(shows_THW[..., None], source_THW2, nearest_THW2)
    assert nearest_THW2 is not None
    return nearest_THW2


def plane_equation(plane: Plane) -> tuple[np.ndarray, float]:
    """(normal, distance) of a scene plane in camera coordinates, product depths."""
    if plane.kind == "floor":
        return np.array([0.0, FOCAL, -plane.horizon]), plane.contact - plane.horizon
    return np.array([0.0, 0.0, 1.0]), plane.depth


def sample_canvas(image_hw: np.ndarray, points_THW2: np.ndarray, aspect: float, layers: Layers) -> np.ndarray:
    """Bilinear samples of a canvas (frame plus padding; any count of channels) at isotropic points; edges continue."""
    height, width = image_hw.shape[:2]
    frame_height, frame_width = height - 2 * layers.pad_y, width - 2 * layers.pad_x
    ax, ay = np.sqrt(aspect), 1 / np.sqrt(aspect)
    flat = points_THW2.reshape(-1, points_THW2.shape[-2], 2)
    x = _pixels(flat[..., 0], ax, frame_width, layers.pad_x)
    y = _pixels(flat[..., 1], ay, frame_height, layers.pad_y)
    sampled = cv2.remap(image_hw, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return sampled.reshape(*points_THW2.shape[:-1], *image_hw.shape[2:])


def _pixels(at: np.ndarray, reach: float, size: int, pad: int) -> np.ndarray:
    """Canvas pixels of isotropic coordinates that span -reach..reach over `size` pixels; computed in float64."""
    pixels = at / np.float64(reach)
    pixels += 1
    pixels /= 2
    pixels *= size
    pixels -= 0.5
    pixels += pad
    return pixels.astype(np.float32)
