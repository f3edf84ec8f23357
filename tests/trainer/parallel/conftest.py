from collections.abc import Callable, Iterator

import pytest

from tests.engine.parallel.ranks import Ranks


@pytest.fixture(scope="session")
def ranks() -> Iterator[Callable[[int], Ranks]]:
    """The running ranks of a world of so many, started at the first question; one world at a time."""
    worlds: dict[int, Ranks] = {}

    def of(world: int) -> Ranks:
        if world not in worlds:
            worlds[world] = Ranks(world, ("tests.trainer.parallel.cases",))
        return worlds[world]

    yield of
    for running in worlds.values():
        running.stop()
