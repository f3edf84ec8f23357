"""What the tests of the trainer share: how they compute, a bundle that runs are begun at, and a run of nano."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tests.trainer.nano_run import CONFIG
from tests.trainer.tiny_bundle import write_tiny_bundle
from trainer.nano import run_nano


@contextmanager
def on_one_thread() -> Iterator[None]:
    """As the command line trains: with another number of threads sums are in another order, and bits differ."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    with on_one_thread():
        yield


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a latent video bundle of random weights, which nobody writes to."""
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny").path


@pytest.fixture(scope="session")
def nano_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of nano at its small size, which nobody writes to."""
    folder = tmp_path_factory.mktemp("nano")
    with on_one_thread():  # it is made before the first module's own threads are set
        assert run_nano(CONFIG, folder)
    return folder
