"""The engine behind jobs: loaded in workers only, once, and its words become the job's."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from PIL import Image

from engine import events as told
from studio.jobs import engine_client
from studio.jobs.errors import Canceled

ALL_VIEWS = "from django.urls import get_resolver; get_resolver().url_patterns"
LOADED = "import sys; loaded = {'torch', 'engine.generate', 'engine.mask', 'diffusers'} & set(sys.modules)"


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
        ("import studio.asgi", set()),
        ("import studio.asgi, studio.jobs.worker, studio.jobs.sweeper", set()),
        ("import studio.asgi, torch", {"torch"}),  # the control: what the check would say
    ],
)
def test_the_web_process_never_loads_torch(imports: str, expected: set[str], tmp_path: Path) -> None:
    code = "\n".join([imports, ALL_VIEWS, LOADED, "print(sorted(loaded))"])
    done = subprocess.run([sys.executable, "-c", code], cwd=settings.BASE_DIR, env=env(tmp_path), capture_output=True)
    assert done.stdout.decode().strip() == str(sorted(expected)), done.stderr.decode()


def env(tmp_path: Path) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "studio.settings",
        "AQ_DATA_DIR": str(tmp_path),
        "AQ_SECRET_KEY": "only-for-tests",
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
    }


class FakeRun:
    """Writes down what a run is told."""

    def __init__(self, workdir: Path, canceled: bool = False) -> None:
        self.workdir = workdir
        self.told: list[tuple[Any, ...]] = []
        self.canceled = canceled

    def progress(self, stage: str, fraction: float, **more: Any) -> None:
        self.told.append(("progress", stage, round(fraction, 3)))

    def preview(self, jpeg: bytes, step: int | None = None) -> None:
        self.told.append(("preview", jpeg, step))

    def notice(self, code: str, message: str) -> None:
        self.told.append(("notice", code, message))

    def is_canceled(self) -> bool:
        return self.canceled


@dataclass
class FakeEngine:
    """Stands for the engine by its contract, without its weights."""

    loads: int = 0

    def load(self, bundle: Path) -> "FakeEngine":
        self.loads += 1
        return self

    def generate(
        self,
        request: Any,
        photo: Path,
        out: Path,
        *,
        mask: Path | None,
        on_event: Callable[[Any], None],
        is_canceled: Callable[[], bool],
    ) -> Path:
        on_event(told.Progress(stage="denoise", step=1, steps=2, fraction=0.5, eta_seconds=3.0))
        on_event(told.Preview(jpeg=b"jpeg", step=1))
        on_event(told.Notice(code="move_scaled", message="The move was made smaller."))
        if is_canceled():
            raise told.Canceled
        return out

    def mask(self, photo: Path) -> np.ndarray:
        return np.full((6, 8), 200, np.uint8)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    fake = FakeEngine()
    generate, mask = ModuleType("engine.generate"), ModuleType("engine.mask")
    generate.Engine = mask.Masker = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "engine.generate", generate)
    monkeypatch.setitem(sys.modules, "engine.mask", mask)
    forget_models()
    yield fake
    forget_models()


def forget_models() -> None:
    engine_client.load_engine.cache_clear()
    engine_client.load_masker.cache_clear()


def test_what_the_engine_tells_becomes_the_jobs_words(engine: FakeEngine, tmp_path: Path) -> None:
    run = FakeRun(tmp_path)
    out = engine_client.generate_video({"request": None, "photo": tmp_path / "p.png"}, run)
    assert out == tmp_path / "video.mp4"
    assert run.told == [
        ("progress", "load", 0.0),
        ("progress", "denoise", 0.5),
        ("preview", b"jpeg", 1),
        ("notice", "move_scaled", "The move was made smaller."),
    ]


def test_the_engines_cancel_is_the_jobs(engine: FakeEngine, tmp_path: Path) -> None:
    with pytest.raises(Canceled):
        engine_client.generate_video({"request": None, "photo": tmp_path}, FakeRun(tmp_path, canceled=True))


def test_a_model_is_loaded_once_for_the_workers_whole_life(engine: FakeEngine, tmp_path: Path) -> None:
    engine_client.preload("image_to_video")
    for _ in range(3):
        engine_client.generate_video({"request": None, "photo": tmp_path}, FakeRun(tmp_path))
    assert engine.loads == 1


def test_a_mask_is_a_gray_picture_of_the_photos_size(engine: FakeEngine, tmp_path: Path) -> None:
    output = engine_client.make_mask({"photo": tmp_path / "p.png"}, FakeRun(tmp_path))
    with Image.open(output.path) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (8, 6))
    assert (output.width, output.height) == (8, 6)


def test_a_kind_that_the_engine_does_not_run_is_told() -> None:
    with pytest.raises(ValueError, match="does not run jobs of kind 'avatar'"):
        engine_client.runner("avatar")


def test_other_kinds_have_nothing_to_load() -> None:
    engine_client.preload(f"kind-{uuid.uuid4()}")
