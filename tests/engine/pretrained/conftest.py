from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.pretrained.generate import PretrainedEngine
from engine.pretrained.importing import import_directory
from tests.engine.pretrained import tiny

SMALL = {"pixels": 32 * 32, "frames": 17, "fps": 4}  # 3 s are 13 frames


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def peer() -> Callable[[str], Any]:
    """diffusers' own pipeline of a family, built once."""
    return cache(tiny.made)


@pytest.fixture(scope="session")
def directory(peer: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The diffusers directory of a family, saved once."""

    @cache
    def of(name: str) -> Path:
        folder = tmp_path_factory.mktemp("pretrained") / name
        peer(name).save_pretrained(folder, safe_serialization=True)
        return folder

    return of


@pytest.fixture(scope="session")
def loaded(directory: Callable[[str], Path]) -> Callable[[str], PretrainedEngine]:
    """The engine of a family's imported bundle.

    Its weights lie where PyTorch lays them, as those of `peer` do. A file's are read where they lie in it, and from a
    place that is no multiple of 16 bytes kernels take their sums in another order: see `as_read`.
    """

    @cache
    def of(name: str) -> PretrainedEngine:
        source = directory(name)
        bundle = import_directory(source, source.with_name(f"{name}-bundle"), native=SMALL)
        engine = PretrainedEngine.load(bundle.path)
        for pipe in engine.pipelines.values():
            for part in pipe.components.values():
                for weight in part.parameters() if isinstance(part, torch.nn.Module) else ():
                    weight.data = weight.data.clone()
        return engine

    return of
