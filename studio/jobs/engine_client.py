"""The engine, as jobs see it. The only module of the studio that imports `engine.generate`, `.mask` and `.runtime`.

All are imported inside functions that only a worker calls: the web process never loads torch. A worker holds one
engine and one masker, for its whole life or until another bundle is installed.
"""

import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.conf import settings

from engine.bundles import MANIFEST, Bundle, BundleError, read_bundle, sha256_of
from engine.cache.budget import of_bundle
from studio.jobs.errors import Canceled, ModelReplaced, Refused
from studio.jobs.kinds import Run

if TYPE_CHECKING:
    from engine.generate import Engine
    from engine.mask import Masker

logger = logging.getLogger(__name__)

Model = TypeVar("Model")


@dataclass(frozen=True)
class MaskOutput:
    """A mask in the run's work folder: 8-bit gray PNG of the photo's size."""

    path: Path
    width: int
    height: int


def runner(kind: str) -> Callable[[dict[str, Any], Run], Any]:
    """Raises Refused for a kind that the engine does not run."""
    runners = {"image_to_video": generate_video, "product_mask": make_mask}
    if kind not in runners:
        raise Refused(f"The engine does not run jobs of kind {kind!r}.")
    return runners[kind]


def preload(kind: str) -> None:
    """Loads what jobs of this kind need, before the first of them asks."""
    loaders: dict[str, Callable[[], Any]] = {"image_to_video": engines.get, "product_mask": maskers.get}
    loaders.get(kind, lambda: None)()


class Held(Generic[Model]):
    """The one model of its sort that this process has loaded, and the digest of the bundle that it came from."""

    def __init__(self, load: Callable[[Bundle], Model], end: Callable[[Model], None] = lambda model: None) -> None:
        self._load, self._end = load, end
        self._model: Model | None = None
        self._digest = ""

    def get(self, digest: str | None = None) -> Model:
        """The model of the bundle with this digest, or of the one that is installed now.

        Loaded where another one is held; the other one goes first, since two do not fit. Raises ModelReplaced when the
        asked bundle is not the installed one any more, BundleError when that one cannot be used.
        """
        wanted = digest or _installed_digest()
        if self._model is None or self._digest != wanted:
            self.forget()
            bundle = read_bundle(Path(settings.AQ_BUNDLE))
            if bundle.digest != wanted:
                raise ModelReplaced("The model that this job was made for has been replaced. Send it again.")
            logger.info("loading %s %s, %s", bundle.name, bundle.version, bundle.digest)
            self._model, self._digest = self._load(bundle), bundle.digest
        return self._model

    def forget(self) -> None:
        if self._model is not None:
            self._end(self._model)
        self._model, self._digest = None, ""
        gc.collect()


def _load_engine(bundle: Bundle) -> "Engine":
    """Jobs of other steps than the bundle's cache was calibrated for are made without it, which their result tells.

    BundleError where the settings ask for a cache and the bundle brings no calibration.
    """
    if settings.AQ_ENGINE_CACHE:
        of_bundle(bundle)  # refused here, and not by ranks that take seconds to start
    cache: dict[str, Any] = {"cache": settings.AQ_ENGINE_CACHE, "strict": False} if settings.AQ_ENGINE_CACHE else {}
    if settings.AQ_ENGINE_MESH:
        from engine.runtime.denoise import engine_on

        return engine_on(bundle, settings.AQ_ENGINE_MESH, **cache)
    from engine.generate import Engine

    return Engine(bundle, **cache)


def _load_masker(bundle: Bundle) -> "Masker":
    from engine.mask import Masker

    return Masker(bundle)


engines: "Held[Engine]" = Held(_load_engine, lambda engine: engine.close())
maskers: "Held[Masker]" = Held(_load_masker)


def _installed_digest() -> str:
    """What `Bundle.digest` would be, without reading the weights: asked before each run."""
    manifest = Path(settings.AQ_BUNDLE) / MANIFEST
    if not manifest.is_file():
        raise BundleError(f"There is no model bundle at {settings.AQ_BUNDLE}.")
    return "sha256:" + sha256_of(manifest)


def generate_video(inputs: dict[str, Any], run: Run) -> Any:
    """inputs: {request: ImageToVideo, photo: Path, mask: Path | None, digest: str | None}, where digest names the
    bundle that must make it -> engine.generate.Generated."""
    from engine import events as told

    run.progress("load", 0.0)
    engine = engines.get(inputs.get("digest"))
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

    mask = maskers.get().mask(inputs["photo"])
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
