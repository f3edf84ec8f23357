"""Several videos at once: those of one format and number of steps are denoised in one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from engine.events import Canceled
from engine.film import Film, Generated, Task
from engine.generate import Engine, Look

MOST = 8  # requests in one batch: their photos wait at full resolution in memory


def generate_many(engine: Engine, tasks: Sequence[Task]) -> list[Generated | Exception]:
    """What `Engine.generate` makes or raises for each task, in their order; one that fails leaves the others alone.

    With its own seed each is what it would be alone, but for the last bits of the matrix products (below 1e-5); with a
    cache within its budget, for the requests of a batch share its decisions.
    """
    films = [_Asked(replace(task, request=engine.settled(task.request))) for task in tasks]
    for batch in _batches(films):
        for one in batch:
            one.attempt(one.begin, engine)
        _denoise(engine, [one for one in batch if one.film is not None])
        for one in batch:
            one.attempt(one.finish, engine)
            one.film = None  # its photo is large
    return [one.outcome for one in films]


@dataclass
class _Asked:
    """A task and what has come of it."""

    task: Task
    film: Film | None = None
    made: Generated | None = None
    error: Exception | None = None

    def attempt(self, do: Callable[..., None], *args: Any) -> None:
        """The next thing to do; nothing where one before has failed."""
        if self.error is None:
            try:
                do(*args)
            except Exception as error:
                self.error = error

    def begin(self, engine: Engine) -> None:
        self.film = engine.begin(self.task)

    def show(self, step: int, look: Look | None) -> None:
        self.ready.show(step, look and look())

    def finish(self, engine: Engine) -> None:
        self.made = engine.finish(self.ready)

    @property
    def ready(self) -> Film:
        assert self.film is not None
        return self.film

    @property
    def outcome(self) -> Generated | Exception:
        outcome = self.error or self.made
        assert outcome is not None
        return outcome


def _denoise(engine: Engine, films: Sequence[_Asked]) -> None:
    """All films through one batch. It ends early when none of them is wanted any more."""

    def visit() -> None:
        for one in films:
            one.attempt(one.task.go_on)
        if all(one.error for one in films):
            raise Canceled

    def work() -> None:
        asked = [(one.task.request, one.ready.prepared, one.ready.seed) for one in films]
        with closing(engine.denoise_together(asked, visit)) as steps:
            for step, looks in enumerate(steps, 1):
                visit()
                each: Sequence[Look | None] = looks or [None] * len(films)
                for one, look in zip(films, each, strict=True):
                    one.attempt(one.show, step, look)

    if films:
        try:
            work()
        except Exception as error:
            for one in films:
                one.error = one.error or error


def _batches(films: Sequence[_Asked]) -> Iterator[list[_Asked]]:
    """Those that can go through the transformer as rows of one batch."""
    alike: dict[tuple[str, int], list[_Asked]] = {}
    for one in films:
        alike.setdefault((one.task.request.format, one.task.request.steps), []).append(one)
    for group in alike.values():
        for start in range(0, len(group), MOST):
            yield group[start : start + MOST]
