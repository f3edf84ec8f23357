"""The engine behind jobs: loaded in workers only, once, and its words become the job's."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from weakref import WeakSet

import numpy as np
import psutil
import pytest
from django.conf import settings
from PIL import Image

from engine import events as told
from engine.bundles import SHIPPED, Bundle, BundleError, write_bundle
from engine.cache.budget import Calibration
from engine.requests import ImageToVideo
from studio.jobs import engine_client
from studio.jobs.errors import Canceled, ModelReplaced, failure_from

ALL_VIEWS = "from django.urls import get_resolver; get_resolver().url_patterns"
LOADED = "import sys; loaded = {'torch', 'engine.generate', 'engine.mask', 'diffusers'} & set(sys.modules)"


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
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


class FakeEngine:
    """Stands for the engine and the masker by their contract, without weights. `loads` and `most` are of them all."""

    loads: ClassVar[list[str]] = []
    alive: ClassVar["WeakSet[FakeEngine]"] = WeakSet()
    most: ClassVar[int] = 0  # at one time

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.itself = self  # as models are: only the garbage collector ends them
        FakeEngine.loads.append(bundle.version)
        FakeEngine.alive.add(self)
        FakeEngine.most = max(FakeEngine.most, len(FakeEngine.alive))

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

    def close(self) -> None:
        """Nothing to end."""

    def mask(self, photo: Path) -> np.ndarray:
        return np.full((6, 8), 200, np.uint8)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, bundle: Path) -> Iterator[type[FakeEngine]]:
    generate, mask = ModuleType("engine.generate"), ModuleType("engine.mask")
    generate.Engine = mask.Masker = FakeEngine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "engine.generate", generate)
    monkeypatch.setitem(sys.modules, "engine.mask", mask)
    forget_models()
    FakeEngine.loads, FakeEngine.most = [], 0
    yield FakeEngine
    forget_models()


def forget_models() -> None:
    engine_client.engines.forget()
    engine_client.maskers.forget()


def install(bundle: Path, version: str) -> str:
    """Replaces the bundle by another version; its digest."""
    kinds = ("image_to_video",)
    return write_bundle(bundle, name="test-nano", version=version, kinds=kinds, capabilities={}, provenance={}).digest


def test_what_the_engine_tells_becomes_the_jobs_words(engine: type[FakeEngine], tmp_path: Path) -> None:
    run = FakeRun(tmp_path)
    out = engine_client.generate_video({"request": None, "photo": tmp_path / "p.png"}, run)
    assert out == tmp_path / "video.mp4"
    assert run.told == [
        ("progress", "load", 0.0),
        ("progress", "denoise", 0.5),
        ("preview", b"jpeg", 1),
        ("notice", "move_scaled", "The move was made smaller."),
    ]


def test_the_engines_cancel_is_the_jobs(engine: type[FakeEngine], tmp_path: Path) -> None:
    with pytest.raises(Canceled):
        engine_client.generate_video({"request": None, "photo": tmp_path}, FakeRun(tmp_path, canceled=True))


def test_a_model_is_loaded_once_for_the_workers_whole_life(engine: type[FakeEngine], tmp_path: Path) -> None:
    engine_client.preload("image_to_video")
    for _ in range(3):
        engine_client.generate_video({"request": None, "photo": tmp_path}, FakeRun(tmp_path))
    assert engine.loads == ["1"]


def make_with(digest: str | None, tmp_path: Path) -> None:
    engine_client.generate_video({"request": None, "photo": tmp_path, "digest": digest}, FakeRun(tmp_path))


def test_another_model_is_loaded_when_a_job_is_pinned_to_it_and_the_old_one_goes_first(
    engine: type[FakeEngine], bundle: Path, tmp_path: Path
) -> None:
    for version in ("2", "2", "3"):
        make_with(install(bundle, version), tmp_path)
    assert (engine.loads, engine.most) == (["2", "3"], 1)


def test_a_job_that_is_pinned_to_nothing_takes_what_is_installed(
    engine: type[FakeEngine], bundle: Path, tmp_path: Path
) -> None:
    engine_client.make_mask({"photo": tmp_path}, FakeRun(tmp_path))
    install(bundle, "2")
    for _ in range(2):
        engine_client.make_mask({"photo": tmp_path}, FakeRun(tmp_path))
    assert (engine.loads, engine.most) == (["1", "2"], 1)


def test_a_cache_in_the_settings_is_the_engines_on_ranks_too(
    engine: type[FakeEngine], bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    runtime, asked = ModuleType("engine.runtime.denoise"), []
    runtime.engine_on = lambda bundle, mesh, **how: asked.append(how) or FakeEngine(bundle)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "engine.runtime.denoise", runtime)
    monkeypatch.setattr(
        sys.modules["engine.generate"], "Engine", lambda bundle, **how: asked.append(how) or FakeEngine(bundle)
    )
    Calibration((1.0,), 2.0, 1, ()).save(bundle / "cache.json")
    install(bundle, "2")
    for cache, mesh in ((0.0, {}), (0.05, {}), (0.0, {"cfg": 2}), (0.05, {"cfg": 2})):
        settings.AQ_ENGINE_CACHE, settings.AQ_ENGINE_MESH = cache, mesh
        make_with(None, tmp_path)
        forget_models()

    assert asked == [{}, {"cache": 0.05, "strict": False}] * 2


def test_a_cache_in_the_settings_without_a_calibration_is_told_at_load(engine: type[FakeEngine], settings: Any) -> None:
    engine_client.preload("image_to_video")  # the control
    forget_models()
    settings.AQ_ENGINE_CACHE = 0.05
    with pytest.raises(BundleError, match="brings no calibration: leave it out"):
        engine_client.preload("image_to_video")


def test_a_mesh_in_the_settings_makes_the_engine_on_its_ranks(
    engine: type[FakeEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    runtime, meshes = ModuleType("engine.runtime.denoise"), []
    runtime.engine_on = lambda bundle, mesh: meshes.append(mesh) or FakeEngine(bundle)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "engine.runtime.denoise", runtime)
    make_with(None, tmp_path)  # the control: without a mesh there are no ranks
    forget_models()
    settings.AQ_ENGINE_MESH = {"cfg": 2}
    for _ in range(2):
        make_with(None, tmp_path)

    assert (meshes, engine.loads) == ([{"cfg": 2}], ["1", "1"])


@pytest.mark.full  # loads torch in three processes
def test_a_workers_ranks_make_the_video_survive_a_kill_and_end_with_the_model(tmp_path: Path, settings: Any) -> None:
    settings.AQ_BUNDLE, settings.AQ_ENGINE_MESH = SHIPPED, {"cfg": 2}
    picture = np.random.default_rng(3).integers(0, 255, (480, 320, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo.png")
    Image.fromarray(np.full((480, 320), 255, np.uint8)).save(tmp_path / "mask.png")
    request = ImageToVideo(seconds=3, short_side=540, steps=12, seed=1)
    inputs = {"request": request, "photo": tmp_path / "photo.png", "mask": tmp_path / "mask.png"}
    run = FakeRun(tmp_path)
    ranks: list[psutil.Process] = []

    def kill_one(stage: str, fraction: float, **more: Any) -> None:
        FakeRun.progress(run, stage, fraction, **more)
        found = engine_client.engines.get().denoiser.group.ranks.processes  # type: ignore[attr-defined]
        if stage == "denoise" and more["step"] == 4 and not ranks:
            found[1].kill()
        ranks[:] = [psutil.Process(rank.pid) for rank in found] if more.get("step") == 6 else ranks

    whole = engine_client.generate_video(inputs, run).path.read_bytes()
    run.progress = kill_one  # type: ignore[method-assign]
    again = engine_client.generate_video(inputs, run).path.read_bytes()
    stopped = FakeRun(tmp_path, canceled=True)
    with pytest.raises(Canceled):
        engine_client.generate_video(inputs, stopped)
    assert len(ranks) == 2 and all(rank.is_running() for rank in ranks)
    forget_models()

    assert whole == again
    assert not any(rank.is_running() for rank in ranks)


def test_a_model_that_is_gone_is_refused_and_the_next_job_runs(
    engine: type[FakeEngine], bundle: Path, tmp_path: Path
) -> None:
    gone, there = install(bundle, "2"), install(bundle, "3")
    with pytest.raises(ModelReplaced, match="has been replaced"):
        make_with(gone, tmp_path)
    assert engine.loads == []
    make_with(there, tmp_path)
    assert engine.loads == ["3"]


def test_no_bundle_at_all_is_told_without_its_place(engine: type[FakeEngine], bundle: Path, tmp_path: Path) -> None:
    (bundle / "bundle.json").unlink()
    with pytest.raises(BundleError) as error:
        make_with(None, tmp_path)
    failure = failure_from(error.value)
    assert failure.code == "model_unavailable"
    assert str(bundle) in str(error.value) and str(bundle) not in failure.message


def test_a_mask_is_a_gray_picture_of_the_photos_size(engine: type[FakeEngine], tmp_path: Path) -> None:
    output = engine_client.make_mask({"photo": tmp_path / "p.png"}, FakeRun(tmp_path))
    with Image.open(output.path) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (8, 6))
    assert (output.width, output.height) == (8, 6)


def test_a_kind_that_the_engine_does_not_run_is_told() -> None:
    with pytest.raises(ValueError, match="does not run jobs of kind 'avatar'"):
        engine_client.runner("avatar")


def test_other_kinds_have_nothing_to_load() -> None:
    engine_client.preload(f"kind-{uuid.uuid4()}")
