"""The record of a run, `record.json` in its folder: recipe and settings, code, environment, data, and every call."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from engine.device import AUTO, CPU, name_of, narrow
from trainer.claim import differences
from trainer.ranks import restarts

NAME = "record.json"
PACKAGES = ("torch", "numpy", "diffusers", "transformers", "safetensors", "torchao", "peft")
NOT_DATA = {"checkpoints", "ranks", "tensorboard"}  # folders whose JSON says nothing of what is learnt from


class Record:
    """What is known of the run in `folder`; `kept` is empty where none was recorded.

    Two processes may train stages of one run side by side: each changes what is on the disk, and only its own of it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.kept, self.before, self.ours = self._read(), dict[str, Any](), dict[str, Any]()

    def begin(
        self,
        recipe: str,
        config: Any,
        command: str,
        assignments: Sequence[str] = (),
        world: int = 1,
        start: dict[str, Any] | None = None,
        asked: str = AUTO,
        device: torch.device = CPU,
        stages: Sequence[str] | None = None,
    ) -> list[str]:
        """Note a call of this recipe; what differs from the last call, one line each: empty for a new run.

        `asked` is which device was asked for, which `resume` goes on by, as by `stages`, None for all; `device` which
        one that is here.
        Whether a stage may go on under a changed setting its checkpoint decides. ValueError where the folder holds a
        run of another recipe.
        """
        settings = json.loads(json.dumps(asdict(config)))
        here = {**environment(), "world": world, "device": name_of(device)}
        here["computes_in"] = "bfloat16" if narrow(device) else "float32"
        now = {**code(), "environment": here, "data": data_digest(self.path.parent)}
        call = {"time": round(time.time()), "restart": restarts(), "command": command, "set": list(assignments)}
        call["stages"] = list(stages) if stages else None
        with self._alone():
            return self._begin(recipe, {"config": settings, "device": asked}, call, now, start)

    def end(self) -> None:
        """Note the data as they are now: the first call makes them. And that this call was not killed."""
        data, own = data_digest(self.path.parent), self.ours["calls"][-1]
        with self._alone():
            calls = [{**call, "ended": True} if call == own else call for call in self.kept["calls"]]
            self._write({**self.kept, "data": data, "calls": calls})

    @property
    def settings(self) -> list[str]:
        """What was set to come to the configuration: a `run` begins at its recipe's defaults again, a `resume` adds."""
        found: list[str] = []
        for call in self.kept.get("calls", []):
            is_resumed = shlex.split(call["command"])[3:4] == ["resume"]
            found = [*found, *call["set"]] if is_resumed else [*call["set"]]
        return found

    def take_back(self) -> None:
        """Forget the call that began: it was refused. What another process has noted since then stays."""
        if not self.ours:
            return
        with self._alone():
            there, own = self.kept, self.ours["calls"][-1]
            calls = [*there.get("calls", [])]
            if own in calls:
                del calls[len(calls) - 1 - calls[::-1].index(own)]
            if not calls:
                self.path.unlink(missing_ok=True)
                self.kept = {}
                return
            older = {name: self.before[name] for name in self.before if there.get(name) == self.ours.get(name)}
            self._write({**there, **older, "calls": calls})

    def _begin(
        self,
        recipe: str,
        asked: dict[str, Any],
        call: dict[str, Any],
        now: dict[str, Any],
        start: dict[str, Any] | None,
    ) -> list[str]:
        if self.kept and self.kept["recipe"] != recipe:
            raise ValueError(
                f"{self.path.parent} holds a run of {self.kept['recipe']}, not of {recipe}: choose a new folder."
            )
        self.before = self.kept
        changes = differences(self.kept["config"], asked["config"]) if self.kept else []
        changes += differences(_compared(self.kept), _compared(now, self.kept)) if self.kept else []
        calls = [*self.kept.get("calls", []), {**call, **now, "changed": changes}]
        first = {"recipe": recipe, "config": asked["config"], "from": start or self.kept.get("from")}
        self._write({**first, "device": asked["device"], **now, "command": calls[0]["command"], "calls": calls})
        self.ours = self.kept
        return changes

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Have the record, as it is on the disk now, to this process alone."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        place = os.open(self.path.parent, os.O_RDONLY)  # the folder: a file of its own would lie there for ever
        try:
            with suppress(OSError):  # there are network file systems that lock no folder
                fcntl.flock(place, fcntl.LOCK_EX)
            self.kept = self._read()
            yield
        finally:
            os.close(place)

    def _read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_bytes()) if self.path.exists() else {}
        return found

    def _write(self, kept: dict[str, Any]) -> None:
        self.kept = kept
        temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(kept, indent=1) + "\n")
        temporary.replace(self.path)


def code() -> dict[str, Any]:
    """`commit` and `dirty` of the code that runs; "unknown" and None outside a checkout, or without git."""
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", "engine", "datapipe", "trainer", "pyproject.toml", "constraints.txt")
    return {"commit": commit or "unknown", "dirty": None if changed is None else bool(changed)}


def environment() -> dict[str, Any]:
    """What the bits of a run depend on beside code and data."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def data_digest(folder: Path) -> dict[str, Any]:
    """sha256 over the manifests of what is learnt from: every JSON file within the folder's own folders."""
    files = [path for path in sorted(folder.glob("*/**/*.json")) if not NOT_DATA & set(path.relative_to(folder).parts)]
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return {"digest": digest.hexdigest(), "manifests": len(files)}


def _compared(noted: dict[str, Any], before: dict[str, Any] | None = None) -> dict[str, Any]:
    """`before`: what was noted earlier. Where its last call was killed, it noted nothing of the data that it made."""
    found = {name: noted.get(name) for name in ("commit", "dirty", "environment", "data")}
    if before is not None and not before["calls"][-1].get("ended"):
        found["data"] = before.get("data")
    return found


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*words: str) -> str | None:
    try:
        result = subprocess.run(["git", *words], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    except OSError:  # there is no git on this machine, as in many an image that only trains
        return None
    return result.stdout.strip() if result.returncode == 0 else None
