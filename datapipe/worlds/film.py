"""A scene in motion as pixels: the frames that the photo camera would have filmed, what nearer layers hid included.

Legend: T frames, H x W pixels of the frame; last axis (x, y) of points, RGB of colours.
"""

from __future__ import annotations

import numpy as np

from datapipe.worlds import captions
from datapipe.worlds.clip import draw_picture, plane_equation, sample_canvas, sweep_light_from_start
from datapipe.worlds.motion import KEYS, Motion, grid_points, plane_map, product_map, sample_motion, world_pose
from datapipe.worlds.render import Layers
from datapipe.worlds.scene import Scene, check_aspect, sample_scene
from datapipe.worlds.tones import backdrop_tone

BACKDROP_SAID = 0.7  # of captions
SAYS = 2  # what captions say, by number: sets whose captions were made by an older one are not gone on with


def check_frame(height: int, width: int) -> None:
    """ValueError: a size that no film is made in."""
    if min(height, width) < 8:
        raise ValueError(f"A frame is at least 8 pixels high and wide, not {height} x {width}.")
    check_aspect(width / height)


def make_films(seed: int, height: int, width: int, films: int) -> tuple[Scene, list[tuple[Motion, np.ndarray]]]:
    """One scene and `films` motions of it as frames [17, H, W, 3] uint8, all by seed."""
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng, width / height)
    _, layers = draw_picture(scene, height, width)
    drawn = [sample_motion(rng) for _ in range(films)]
    return scene, [(motion, film(scene, layers, motion, height, width)) for motion in drawn]


def film(scene: Scene, layers: Layers, motion: Motion, height: int, width: int, frames: int = KEYS) -> np.ndarray:
    """Frames [T, H, W, 3] uint8 of a motion, evenly over it; the first is the photo.

    Every layer is moved whole by its own exact map and laid over those behind it, so that pixels which the motion
    reveals are the true ones. Beyond the margin of the layers' canvas their edges go on.
    """
    tau_T = np.linspace(0, 1, frames)[1:]
    points_HW2 = grid_points(scene.aspect, height, width)
    centre = (scene.product.x, scene.product.y)
    pose = world_pose(motion, scene.aspect, centre, tau_T)
    made_THW3 = np.zeros((frames - 1, height, width, 3), np.float32)
    for plane, (rgb, alpha) in zip(scene.planes, layers.planes, strict=True):
        source_THW2, visible_THW = plane_map(points_HW2, *pose, *plane_equation(plane))
        seen_THW4 = sample_canvas(np.dstack([rgb, alpha]), source_THW2, scene.aspect, layers)
        _lay_over(made_THW3, seen_THW4[..., :3], seen_THW4[..., 3] * visible_THW / np.float32(255))
    product_THW2 = product_map(
        points_HW2, motion, scene.aspect, centre, scene.product.half_width, scene.product.bulge, tau_T
    )
    product = np.dstack([layers.product_rgb, layers.product_alpha])
    seen_THW4 = sample_canvas(product, product_THW2, scene.aspect, layers)
    lit_THW3 = seen_THW4[..., :3].astype(np.float32)
    if motion.subject == "light-sweep":
        light_THW = sweep_light_from_start(product_THW2, points_HW2, motion, scene, tau_T)
        lit_THW3 = np.clip(lit_THW3 + 255 * light_THW[..., None], 0, 255)
    _lay_over(made_THW3, lit_THW3, seen_THW4[..., 3] / np.float32(255))
    photo = layers.composite[layers.pad_y : layers.pad_y + height, layers.pad_x : layers.pad_x + width]
    return np.concatenate([photo[None], np.round(made_THW3).astype(np.uint8)])


def shown_words(scene: Scene, photo_HW3: np.ndarray) -> dict[str, str]:
    """`Scene.words`, and the tone of what is behind the product: most of what words can tell of a picture's pixels."""
    return {**scene.words, "backdrop": backdrop_tone(photo_HW3)}


def caption(motion: Motion, words: dict[str, str], rng: np.random.Generator) -> tuple[str, dict[str, str]]:
    """What a film shows, in words, and what of it they say: scene, camera and subject, of which one may go unsaid, and
    mostly the backdrop, where `words` are those of `shown_words`.

    Said are `words` that occur in the caption, and of camera and subject the motion and how forceful it is.
    """
    parts = {
        "scene": captions.whole_scene_phrase(words, rng),
        "camera": captions.camera_phrase(motion, rng),
        "subject": captions.subject_phrase(motion, words["product"], rng),
    }
    parts.pop([*parts, *[""] * 9][int(rng.integers(12))], None)
    told = " ".join(parts.values()).lower()  # "mid red" behind it does not say that the product is red
    said = {key: word for key, word in words.items() if key != "backdrop" and word in told}
    if "backdrop" in words and rng.random() < BACKDROP_SAID:
        parts["backdrop"] = captions.backdrop_phrase(words["backdrop"], rng)
        said["backdrop"] = words["backdrop"]
    prompt = captions.compose(list(parts.values()), rng)
    if "camera" in parts:
        said |= {"camera": motion.camera, "camera_force": captions.said_force(motion.camera, motion.camera_strength)}
    if "subject" in parts:
        said |= {
            "subject": motion.subject,
            "subject_force": captions.said_force(motion.subject, motion.subject_strength),
        }
    return prompt, said


def _lay_over(image_THW3: np.ndarray, colour_THW3: np.ndarray, share_THW: np.ndarray) -> None:
    """Only inside the box that the layer ever covers: elsewhere nothing would change."""
    covered_HW = share_THW.max(0) > 0
    rows, columns = np.flatnonzero(covered_HW.any(1)), np.flatnonzero(covered_HW.any(0))
    if len(rows) == 0:
        return
    box = np.s_[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    image_THW3[box] += (colour_THW3[box] - image_THW3[box]) * share_THW[box][..., None]
