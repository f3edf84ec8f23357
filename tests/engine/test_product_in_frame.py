"""No move carries the product out of the picture: real motion on real photos, at every quarter of a clip.

Reduced: the moves that did, one format each. `make test-full`: all moves, both formats.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from engine.conditions import CAMERA_IDS
from engine.generate import Engine, Prepared
from engine.media import framing
from engine.media.compose import Compositor
from engine.media.fields import MotionFields
from engine.media.layers import Layers
from engine.media.subject import NOTHING, Travel
from engine.requests import ImageToVideo
from tests.engine.media.pictures import make_shot

DEMO = Path(__file__).parents[2] / "studio/demo/photos"
PHOTOS = ("fig-and-cedar", "harbour-mug", "cut-out")
STRENGTHS = (0.6, 1.0)  # the default, and all of it
ALL = tuple(move for move in CAMERA_IDS if move not in ("auto", "static"))
CARRIED = {
    ("fig-and-cedar", "1:1"): ("tilt-up", "dolly-in"),
    ("harbour-mug", "9:16"): ("pan-left", "pan-right", "dolly-in"),
    ("cut-out", "16:9"): ("tilt-down", "dolly-in"),
}
WHOLE = [pytest.param(photo, format, ALL, marks=pytest.mark.full) for photo in PHOTOS for format in ("9:16", "16:9")]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Engine.load()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def files(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path | None]]:
    """The photos and their masks, found once; the cut-out touches the edges of its picture, as cut-outs do."""
    folder = tmp_path_factory.mktemp("photos")
    found: dict[str, tuple[Path, Path | None]] = {}
    for name in PHOTOS[:2]:
        with Image.open(DEMO / f"{name}.jpg") as photo:
            Image.fromarray(engine.masker.mask(np.asarray(photo.convert("RGB")))).save(folder / f"{name}.png")
        found[name] = DEMO / f"{name}.jpg", folder / f"{name}.png"
    shot = make_shot(420, 640, hairs=0)
    x, y, width, height = cv2.boundingRect((shot.alpha > 0).astype(np.uint8))
    cut_out = np.dstack([shot.product, shot.alpha])[y : y + height, x : x + width]
    Image.fromarray(cut_out).save(folder / "cut-out.png")
    return found | {"cut-out": (folder / "cut-out.png", None)}


def borders_shown(layers: Layers, fields: MotionFields) -> float:
    """The most of the product on a pixel of the frame's border, 0..1: everything else is black."""
    white, black = (np.broadcast_to(np.uint8(v), layers.photo.shape).copy() for v in ((255, 128, 128), (0, 128, 128)))
    weight = layers.alpha[..., None] / 255
    shown = np.rint(white * weight + black * (1 - weight)).astype(np.uint8)
    bare = replace(layers, photo=shown, scene=black, depth=np.zeros_like(layers.depth))
    compositor = Compositor(bare, fields)
    frames = [compositor.frame(u) for u in (0.25, 0.5, 0.75, 1.0)]
    return max(edge.max() for frame in frames for edge in (frame[0], frame[-1], frame[:, 0], frame[:, -1])) / 255


def films(
    engine: Engine, files: tuple[Path, Path | None], format: str, moves: tuple[str, ...]
) -> Iterator[tuple[str, float, Prepared, MotionFields]]:
    """(move, strength, prepared, the model's fields as they came)."""
    asked = []
    for move in moves:
        for strength in STRENGTHS:
            settings = {"format": format, "short_side": 540, "seconds": 3, "seed": 7, "subject": {"motion": "still"}}
            request = ImageToVideo.model_validate({**settings, "camera": {"move": move, "strength": strength}})
            asked.append((request, engine.prepare(request, *files), 7))
    *_, made = engine.denoise_together(asked)
    for (request, prepared, _), look in zip(asked, made, strict=True):
        yield request.camera.move, request.camera.strength, prepared, look()


@pytest.mark.parametrize(("photo", "format", "moves"), [*((*key, moves) for key, moves in CARRIED.items()), *WHOLE])
def test_the_product_stays_in_the_picture(engine: Engine, files, photo: str, format: str, moves) -> None:
    for move, strength, prepared, fields in films(engine, files[photo], format, moves):
        assert "product_cropped" not in {notice.code for notice in prepared.notices}
        made, factor = prepared.fit(fields)
        assert borders_shown(prepared.layers, made) < 0.5, (move, strength)
        assert factor * prepared.framing.strength_scale >= 0.5


@pytest.mark.parametrize(("photo", "format"), CARRIED)
def test_the_control_a_framing_that_looks_at_the_first_frame_alone(
    engine: Engine, files, monkeypatch: pytest.MonkeyPatch, photo: str, format: str
) -> None:
    monkeypatch.setattr(framing, "camera_travel", lambda move, aspect: Travel())
    for move, strength, prepared, fields in films(engine, files[photo], format, CARRIED[photo, format]):
        unseen = replace(prepared, framing=replace(prepared.framing, keeps=NOTHING))
        assert borders_shown(prepared.layers, unseen.fit(fields)[0]) > 0.9, (move, strength)
