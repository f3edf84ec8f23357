"""The engine, as jobs see it. The only module of the studio that imports `engine.generate` and `engine.mask`.

Both are imported inside functions that only a worker calls: the web process never loads torch. A worker holds one
engine and one masker for its whole life.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from studio.jobs.errors import Canceled
from studio.jobs.kinds import Run

if TYPE_CHECKING:
    from engine.generate import Engine
    from engine.mask import Masker


@dataclass(frozen=True)
class MaskOutput:
    """A mask in the run's work folder: 8-bit gray PNG of the photo's size."""

    path: Path
    width: int
    height: int


def runner(kind: str) -> Callable[[dict[str, Any], Run], Any]:
    """Raises ValueError for a kind that the engine does not run."""
    runners = {"image_to_video": generate_video, "product_mask": make_mask}
    if kind not in runners:
        raise ValueError(f"The engine does not run jobs of kind {kind!r}.")
    return runners[kind]


def preload(kind: str) -> None:
    """Loads what jobs of this kind need, before the first of them asks."""
    loaders: dict[str, Callable[[], Any]] = {"image_to_video": load_engine, "product_mask": load_masker}
    loaders.get(kind, lambda: None)()


@cache
def load_engine() -> "Engine":
    from engine.generate import Engine

    return Engine.load(Path(settings.AQ_BUNDLE))


@cache
def load_masker() -> "Masker":
    from engine.mask import Masker

    return Masker.load(Path(settings.AQ_BUNDLE))


def generate_video(inputs: dict[str, Any], run: Run) -> Any:
    """inputs: {request: ImageToVideo, photo: Path, mask: Path | None} -> engine.generate.Generated."""
    from engine import events as told

    run.progress("load", 0.0)
    engine = load_engine()
    try:
        return engine.generate(
            inputs["request"],
            inputs["photo"],
            run.workdir / "video.mp4",
            mask=inputs.get("mask"),
            on_event=lambda event: _retell(event, run),
            is_canceled=run.is_canceled,
        )
    except told.Canceled as canceled:
        raise Canceled from canceled


def make_mask(inputs: dict[str, Any], run: Run) -> MaskOutput:
    """inputs: {photo: Path} -> the product's mask as a PNG in the work folder."""
    from PIL import Image

    mask = load_masker().mask(inputs["photo"])
    if run.is_canceled():
        raise Canceled
    path = run.workdir / "mask.png"
    Image.fromarray(mask, mode="L").save(path, format="PNG")
    return MaskOutput(path=path, width=mask.shape[1], height=mask.shape[0])


def _retell(event: Any, run: Run) -> None:
    """An event of the engine, in the words of the job."""
    from engine import events as told

    if isinstance(event, told.Progress):
        run.progress(
            event.stage,
            event.fraction,
            step=event.step,
            steps=event.steps,
            eta_seconds=event.eta_seconds,
        )
    elif isinstance(event, told.Preview):
        run.preview(event.jpeg, event.step)
    elif isinstance(event, told.Notice):
        run.notice(event.code, event.message)
