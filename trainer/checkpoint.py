"""Where a stage keeps what it needs to go on: `checkpoint.pt` of one process, or numbered folders written by
torch.distributed.checkpoint (DCP) from any number of ranks and read by any other number.

A folder is written under another name, renamed when every rank's part lies on the disk, and only then named in
`last_good.json`: a kill at any time leaves a whole checkpoint. Older ones than the last few are removed.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

FILE, FOLDER, POINTER, FACTS = "checkpoint.pt", "checkpoints", "last_good.json", "facts.json"
BEFORE_IT = "most often for want of room; the one before it is whole"
Tensors = dict[str, Any]  # name -> Tensor or DTensor, possibly nested; every rank has its part of each
Facts = dict[str, Any]  # what JSON can hold: step, recipe ...


class Checkpoints:
    """The numbered checkpoints of a stage, the last `keep` of them. Every rank calls every method alike.

    `blocked` is how long saving has held the training up, in seconds.
    """

    def __init__(self, stage: Path, keep: int, asynchronous: bool) -> None:
        if keep < 1:
            raise ValueError(f"At least one checkpoint is kept: keep={keep} cannot be.")
        self.folder, self.keep, self.asynchronous = stage / FOLDER, keep, asynchronous
        self.blocked = 0.0
        self._saving: tuple[int, Future[Any]] | None = None
        self._stager: Any = None
        self._group: dist.ProcessGroup | None = None  # of the saving thread: its messages must not meet training's

    def save(self, step: int, tensors: Tensors, facts: Facts) -> None:
        """Keep this state. Asynchronously it is copied, and written while training goes on; the last save is waited
        for first.
        """
        began = time.perf_counter()
        self.wait()
        temporary = self._temporary(step)
        if _rank() == 0:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            (temporary / FACTS).write_text(json.dumps(facts))
        _meet(self._own_group())
        self._saving = (step, self._write(temporary, tensors))
        if not self.asynchronous:
            self.wait()
        self.blocked += time.perf_counter() - began

    def poll(self) -> None:
        """Publish a save that has ended meanwhile; raises what went wrong with it."""
        if self._saving is not None and self._saving[1].done():
            self.wait()

    def wait(self) -> None:
        """Wait for the save that is under way, and publish it."""
        if self._saving is None:
            return
        step, future = self._saving
        self._saving = None
        try:
            future.result()
        except dcp_error() as error:
            raise OSError(f"The checkpoint of step {step} could not be written, {BEFORE_IT}: {_why(error)}") from error
        if _rank() == 0:
            self._publish(step)

    def settle(self) -> None:
        """As `wait`, and every rank sees it published."""
        self.wait()
        _meet(self._group)

    def last_good(self) -> int | None:
        """The step of the last whole checkpoint."""
        return last_good(self.folder.parent)

    def facts(self, step: int) -> Facts:
        found: Facts = json.loads((self._place(step) / FACTS).read_text())
        return found

    def steps(self) -> list[int]:
        """Every whole checkpoint up to the last good one, oldest first."""
        last = self.last_good()
        names = (path.name for path in self.folder.glob("step-*[0-9]"))
        return [] if last is None else sorted(step for name in names if (step := int(name[5:])) <= last)

    def load(self, step: int, tensors: Tensors) -> None:
        """Read a checkpoint into these tensors, in place, whatever the number of ranks that wrote it."""
        import torch.distributed.checkpoint as dcp  # half of torch's own time to import

        _expect_one_process()
        try:
            dcp.load(tensors, checkpoint_id=self._place(step), no_dist=not dist.is_initialized())
        except dcp_error() as error:
            raise RuntimeError(f"The checkpoint in {self._place(step)} cannot be read: {error}") from error

    def shapes(self, step: int, under: str) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors whose names begin with `under.`."""
        return {name: tuple(size) for name, (size, _) in _described(self._place(step), under).items()}

    def go_back(self, step: int) -> None:
        """Make an older checkpoint the last good one, and remove those after it."""
        if _rank() == 0:
            later = [other for other in self.steps() if other > step]
            _point(self.folder, step)
            for other in later:
                shutil.rmtree(self._place(other))
        _meet(self._own_group())

    def _write(self, temporary: Path, tensors: Tensors) -> Future[Any]:
        import torch.distributed.checkpoint as dcp
        from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

        _expect_one_process()
        alone = not dist.is_initialized()
        writer = dcp.FileSystemWriter(temporary, single_file_per_rank=True)
        if not self.asynchronous:
            done: Future[Any] = Future()
            try:
                done.set_result(
                    dcp.save(tensors, storage_writer=writer, no_dist=alone, process_group=self._own_group())
                )
            except dcp_error() as error:
                done.set_exception(error)
            return done
        if self._stager is None:  # kept: it copies into the same memory every time
            self._stager = DefaultStager(StagingOptions(False, False, False, False))
        saving = dcp.async_save(
            tensors, storage_writer=writer, no_dist=alone, process_group=self._own_group(), async_stager=self._stager
        )
        assert isinstance(saving, Future)
        return saving

    def _publish(self, step: int) -> None:
        place = self._place(step)
        shutil.rmtree(place, ignore_errors=True)  # of a step that is made again
        self._temporary(step).replace(place)
        _point(self.folder, step)
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self._place(old))

    def _own_group(self) -> dist.ProcessGroup | None:
        if self._group is None and dist.is_initialized():
            self._group = dist.new_group(backend="gloo")
        return self._group

    def _place(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _temporary(self, step: int) -> Path:
        return self.folder / f".step-{step:08d}.tmp"


def last_good(stage: Path) -> int | None:
    """The step of a stage's last whole DCP checkpoint; None where it has none."""
    path = stage / FOLDER / POINTER
    return int(json.loads(path.read_text())["step"]) if path.exists() else None


def saved_files(stage: Path) -> list[Path]:
    """The files of a stage's newest checkpoint of either kind; none where it has none."""
    step = last_good(stage)
    if step is not None:
        return sorted(path for path in (stage / FOLDER / f"step-{step:08d}").iterdir() if path.is_file())
    return [stage / FILE] if (stage / FILE).exists() else []


def read_average(stage: Path) -> dict[str, Tensor]:
    """The averaged weights of a stage's newest checkpoint, whole, by `module.parameter`."""
    step = last_good(stage)
    if step is None:
        average: dict[str, Tensor] = read_file(stage)["average"]
        return average
    place = stage / FOLDER / f"step-{step:08d}"
    found = {name: torch.empty(size, dtype=kind) for name, (size, kind) in _described(place, "average").items()}
    import torch.distributed.checkpoint as dcp

    _expect_one_process()
    dcp.load({"average": found}, checkpoint_id=place, no_dist=True)
    return found


def save_file(stage: Path, state: dict[str, Any]) -> None:
    """Write `checkpoint.pt` beside the last one, then replace it: a kill leaves one that is whole, and so does a full
    disk (OSError).

    Its tensors are those of the CPU, whatever device trains, and can be read where there is no other.
    """
    stage.mkdir(parents=True, exist_ok=True)
    temporary, on_host = (stage / FILE).with_suffix(".tmp"), _on_host(state)
    try:
        torch.save(on_host, temporary)
    except (OSError, RuntimeError) as error:  # torch's own writer raises the latter for want of room
        temporary.unlink(missing_ok=True)
        why = str(error).splitlines()[0]
        raise OSError(f"{temporary} could not be written, {BEFORE_IT}: {why}") from error
    temporary.replace(stage / FILE)


def read_file(stage: Path) -> dict[str, Any]:
    """What `checkpoint.pt` holds, on the CPU."""
    load = partial(torch.load, stage / FILE, map_location="cpu", weights_only=True)
    try:
        found: dict[str, Any] = load()
    except UnpicklingError as error:
        if "torchao" not in str(error):
            raise
        import torchao.optim  # noqa: F401  # which makes moments of 8 bits known as safe

        found = load()
    return found


def _on_host(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return {key: _on_host(one) for key, one in value.items()}
    return [_on_host(one) for one in value] if isinstance(value, list) else value


def _described(place: Path, under: str) -> dict[str, tuple[torch.Size, torch.dtype]]:
    from torch.distributed.checkpoint import FileSystemReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    entries = FileSystemReader(place).read_metadata().state_dict_metadata
    return {
        name.removeprefix(f"{under}."): (entry.size, entry.properties.dtype)
        for name, entry in entries.items()
        if name.startswith(f"{under}.") and isinstance(entry, TensorStorageMetadata)
    }


def _point(folder: Path, step: int) -> None:
    temporary = folder / f".{POINTER}.tmp"
    with temporary.open("w") as file:
        json.dump({"step": step}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / POINTER)


def dcp_error() -> type[BaseException]:
    """What DCP raises; it is no Exception."""
    from torch.distributed.checkpoint.api import CheckpointException

    return CheckpointException


def _why(error: BaseException) -> str:
    """What went wrong on each rank: DCP's own message is the tracebacks of all of them."""
    failures: dict[int, tuple[BaseException, Any]] = getattr(error, "failures", {})
    return "; ".join(f"rank {rank}: {failure}" for rank, (failure, _) in failures.items()) or str(error)


def _expect_one_process() -> None:
    """DCP warns on one process that it is one."""
    warnings.filterwarnings("ignore", "torch.distributed is disabled, unavailable or uninitialized", UserWarning)


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _meet(group: dist.ProcessGroup | None) -> None:
    if group is not None:
        dist.barrier(group)
