"""Kinds of jobs. A room registers its kinds from its `AppConfig.ready`; this room imports no other."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from pydantic import BaseModel

from studio.jobs.errors import UnknownKind

if TYPE_CHECKING:
    from studio.jobs.models import Job


class Run(Protocol):
    """What a run may do while it works. `studio.jobs.run.CurrentRun` is the one that workers pass in."""

    workdir: Path  # private to this attempt, on the media folder's file system, removed afterwards

    def progress(
        self,
        stage: str,
        fraction: float,
        *,
        step: int | None = None,
        steps: int | None = None,
        eta_seconds: float | None = None,
    ) -> None: ...

    def preview(self, jpeg: bytes, step: int | None = None) -> None: ...

    def notice(self, code: str, message: str) -> None: ...

    def is_canceled(self) -> bool: ...


def _as_stored(job: "Job") -> dict[str, Any] | None:
    return job.result


def _nothing(*_: Any) -> None:
    return None


@dataclass(frozen=True)
class JobKind:
    """How one kind of job is validated, run and finished.

    prepare(job)        in the worker, before the run: the inputs of the run (paths on disk, the request).
                        `errors.Refused` fails the job with its sentence.
    run(inputs, run)    in the worker, outside any transaction: does the work, returns its output, raises
                        `errors.Canceled` when `run.is_canceled()`. None: `engine_client` has it under the kind's name.
    finish(job, output, fence)
                        inside the transaction that marks the job succeeded: writes rows, publishes files, returns the
                        JSON result. It is called again if the database goes away before that commit, so it links or
                        copies files out of the work folder (`files.publish`), never moves them, and gives them names
                        that job and fence decide: a second time overwrites the first.
    discard(job, fence) after a `finish` that was rolled back: removes the files that it may have published.
    present(job)        the stored result as the API shows it (signed URLs are made here, never stored).
    on_end(job)         inside the transaction that ends the job without success (failed, canceled, expired).
    preload()           once when a worker of this queue starts, before its first job.
    """

    name: str
    queue: str
    settings_model: type[BaseModel]
    prepare: Callable[["Job"], dict[str, Any]]
    finish: Callable[["Job", Any, int], dict[str, Any]]
    run: Callable[[dict[str, Any], Run], Any] | None = None
    discard: Callable[["Job", int], None] = field(default=_nothing)
    present: Callable[["Job"], dict[str, Any] | None] = field(default=_as_stored)
    on_end: Callable[["Job"], None] = field(default=_nothing)
    preload: Callable[[], None] | None = None
    max_attempts: int = 3
    retry_seconds: float = 2.0


_kinds: dict[str, JobKind] = {}


def register(kind: JobKind) -> None:
    """Makes a kind known. Raises ValueError when another room took its name."""
    if kind.name in _kinds and _kinds[kind.name] is not kind:
        raise ValueError(f"The job kind {kind.name!r} is registered twice.")
    _kinds[kind.name] = kind


def find_kind(name: str) -> JobKind:
    """Raises UnknownKind."""
    kind = _kinds.get(name)
    if kind is None:
        raise UnknownKind(f"There is no job kind {name!r}. Known kinds: {', '.join(sorted(_kinds)) or 'none'}.")
    return kind


def is_known(name: str) -> bool:
    return name in _kinds


def kinds_of(queue: str) -> list[JobKind]:
    return [kind for kind in _kinds.values() if kind.queue == queue]


# --- who owns stored files --------------------------------------------------------------------------------------------

Owned = Callable[[set[UUID]], set[UUID]]
ClearInside = Callable[[set[UUID]], object]

_owners: list[tuple[Owned, ClearInside]] = []


def register_owner(owned: Owned, clear_inside: ClearInside = _nothing) -> None:
    """Makes known whose files a room keeps: `owned` says which of the ids are still its rows'.

    The sweeper removes the folders of stored files that no room claims (see `sweeper.clear_orphans`); of those whose
    owners live, `clear_inside(ids)` removes the files that no row names.
    """
    if (owned, clear_inside) not in _owners:
        _owners.append((owned, clear_inside))


def owned_by_rooms(ids: set[UUID]) -> set[UUID]:
    """Those of the ids that some room's rows have."""
    assert _owners, "the rooms have registered what they own"
    return set().union(*(owned(ids) for owned, _ in _owners))


def clear_inside_rooms(ids: set[UUID]) -> None:
    """Has each room clear the folders of those of the ids that are its rows'."""
    for owned, clear_inside in _owners:
        clear_inside(owned(ids))
