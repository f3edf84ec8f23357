"""What the tests of the trainer share: how they compute, and a bundle that runs are begun at."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.trainer.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As the command line trains: with another number of threads sums are in another order, and bits differ."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a latent video bundle of random weights, which nobody writes to."""
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny").path
