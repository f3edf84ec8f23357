"""A small fast kind of job that can be told to fail in every way, and writes down each publication of a result."""

import errno
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from django.db import connection
from pydantic import BaseModel, ConfigDict, Field

from engine.media.errors import MediaError
from studio import media
from studio.jobs import files, lease, services
from studio.jobs.errors import Canceled, Refused
from studio.jobs.kinds import JobKind, Run, is_known, register
from studio.jobs.models import Job

QUEUE = "test"
KIND = "chaos"

# Outside the studio's models: what `finish` wrote, without any rule that could hide a second time.
PUBLISHED_TABLE = "CREATE TABLE IF NOT EXISTS chaos_published (job uuid NOT NULL, fence bigint NOT NULL)"


class ChaosSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(0.0, ge=0, le=60)
    steps: int = Field(4, ge=1, le=1000)
    fail: Literal["", "value", "media", "memory", "disk", "bug", "bug_once", "finish_disk"] = ""
    preview: bool = False
    block: bool = False  # one long call that asks nobody whether it may go on
    name: str = ""
    write_seconds: float = Field(0.0, ge=0, le=60)  # the result is WHOLE, written in pieces for so long
    finish_seconds: float = Field(0.0, ge=0, le=60)  # between publishing and the end of `finish`


@dataclass(frozen=True)
class Output:
    path: Path
    model: dict[str, str]


PIECES = 100
WHOLE = b"0123456789" * 1000 + b"the end"

ERRORS = {
    "value": Refused("The photo is too small. Choose a larger one."),
    "media": MediaError("truncated", "The file ends too early. Export it again."),
    "memory": MemoryError(),
    "disk": OSError(errno.ENOSPC, "No space left on device"),
    "bug": RuntimeError("secret detail of the inside"),
}


def prepare(job: Job) -> dict[str, Any]:
    return {**job.settings, "attempt": job.attempt}


def run(inputs: dict[str, Any], run: Run) -> Output:
    steps = inputs["steps"]
    if inputs["block"]:
        time.sleep(inputs["seconds"])
    for step in range(steps):
        if run.is_canceled():
            raise Canceled
        run.progress("work", (step + 1) / steps, step=step + 1, steps=steps, eta_seconds=0.0)
        if inputs["preview"]:
            run.preview(b"\xff\xd8 a picture \xff\xd9", step)
        if not inputs["block"]:
            time.sleep(inputs["seconds"] / steps)
    if inputs["fail"] in ERRORS:
        raise ERRORS[inputs["fail"]]
    if inputs["fail"] == "bug_once" and inputs["attempt"] == 1:
        raise RuntimeError("only the first time")
    path = run.workdir / "result.txt"
    if inputs["write_seconds"]:
        write_slowly(WHOLE, path, inputs["write_seconds"])
    else:
        path.write_text(inputs["name"] or "done")
    return Output(path=path, model={"name": "chaos", "version": "1", "digest": "sha256:0"})


def write_slowly(content: bytes, path: Path, seconds: float) -> None:
    """In pieces, each on its way to the disk before the next."""
    size = len(content) // PIECES + 1
    with path.open("wb") as file:
        for start in range(0, len(content), size):
            file.write(content[start : start + size])
            file.flush()
            time.sleep(seconds / PIECES)


def finish(job: Job, output: Output, fence: int) -> dict[str, Any]:
    file = media.file_name(job.workspace_id, job.id, f"result-{fence}.txt")
    files.publish(output.path, media.path_of(file))
    time.sleep(job.settings["finish_seconds"])
    if job.settings["fail"] == "finish_disk":
        raise ERRORS["disk"]
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO chaos_published (job, fence) VALUES (%s, %s)", [job.id, fence])
    return {"file": file, "fence": fence}


CHAOS = JobKind(
    name=KIND,
    queue=QUEUE,
    settings_model=ChaosSettings,
    prepare=prepare,
    run=run,
    finish=finish,
    retry_seconds=0.1,
    max_attempts=3,
)


def register_kinds() -> None:
    if not is_known(KIND):
        register(CHAOS)


def remove_the_asked_guards() -> None:
    """For controls. CHAOS_WITHOUT=fence lets a worker write whether it holds the lease or not, CHAOS_WITHOUT=rename
    lets it write a result straight under its stored name. CHAOS_COPY_SECONDS: there are no links, and copies are slow.
    """
    without = os.environ.get("CHAOS_WITHOUT")
    if without == "fence":
        lease.held = services.held = held_without_fence  # type: ignore[assignment]
    if "CHAOS_COPY_SECONDS" in os.environ:
        os.link = no_link  # type: ignore[assignment]
        shutil.copyfile = copy_slowly  # type: ignore[assignment]
    if without == "rename":
        files.publish = publish_without_rename


def no_link(*_: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def copy_slowly(source: Path, target: Path) -> None:
    write_slowly(source.read_bytes(), target, float(os.environ["CHAOS_COPY_SECONDS"]))


def publish_without_rename(output: Path, stored: Path) -> None:
    stored.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(output, stored)


def held_without_fence(mine: lease.Lease) -> Any:
    return Job.objects.filter(pk=mine.job_id)


def published() -> list[tuple[str, int]]:
    """Every publication that was committed: (job, fence)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT job::text, fence FROM chaos_published")
        return list(cursor.fetchall())
