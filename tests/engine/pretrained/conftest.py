from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from engine.bundles import Bundle
from engine.pretrained.importing import import_directory
from tests.engine.parallel.ranks import Ranks
from tests.engine.pretrained import tiny

SMALL = {"pixels": 64 * 64, "frames": 17, "fps": 4}  # 3 s are 13 frames


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The diffusers directory of a family, saved once."""
    made: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in made:
            made[name] = tiny.saved(name, tmp_path_factory.mktemp("pretrained") / name)
        return made[name]

    return of


@pytest.fixture(scope="session")
def imported(directory: Callable[[str], Path]) -> Callable[[str], Bundle]:
    made: dict[str, Bundle] = {}

    def of(name: str) -> Bundle:
        if name not in made:
            source = directory(name)
            made[name] = import_directory(source, source.with_name(f"{name}-bundle"), native=SMALL)
        return made[name]

    return of


@pytest.fixture(scope="session")
def pair() -> Iterator[Ranks]:
    """Two ranks."""
    running = Ranks(2)
    yield running
    running.stop()
