"""From a fresh clone to the first finished video, as somebody meets it who has just heard of the studio: `git clone`,
`make run`, a photo and a job over the API with a key, the MP4 on disk. What pip and npm have cached is used.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from engine.media.video import probe_video
from tests.e2e.steps import draw_photo
from tests.studio.embedded.running import free_port

ROOT = Path(__file__).parents[3]
START_SECONDS, VIDEO_SECONDS, END_SECONDS = 2400.0, 900.0, 30.0
SETTINGS = {"format": "9:16", "seconds": 5, "camera": {"move": "orbit-left"}}
_OVER = ("succeeded", "failed", "canceled", "expired")


@dataclass
class FirstVideo:
    """`seconds` from the start of the clone to each step's end, the last being the video on disk."""

    commit: str
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def minutes(self) -> float:
        return max(self.seconds.values()) / 60


def measure_first_video() -> FirstVideo:
    """RuntimeError, with what the studio said last, where a step fails. Nothing is left running or on disk."""
    home = Path(tempfile.mkdtemp(prefix="aq-first-"))
    home.chmod(0o755)  # so that PostgreSQL's unprivileged user gets there when this runs as root
    clone, began = home / "studio", time.monotonic()
    found = FirstVideo(_output("git", "rev-parse", "--short", "HEAD", cwd=ROOT))

    def reached(step: str) -> None:
        found.seconds[step] = round(time.monotonic() - began, 1)

    try:
        _output("git", "clone", "--quiet", "--no-local", str(ROOT), str(clone), cwd=home)
        reached("cloned")
        with _running(clone, home / "output.txt") as port:
            reached("running")
            key = _output("make", "--silent", "api-key", cwd=clone).split()[-1]
            _make_video(port, key, draw_photo(home / "photo.jpg", (3000, 4000)), home / "video.mp4")
            reached("video")
        probe = probe_video(home / "video.mp4")
        assert probe.frames == 5 * 24, f"the video has {probe.frames} frames"
    finally:
        _end(_processes_in(home))
        shutil.rmtree(home, ignore_errors=True)
    return found


@contextmanager
def _running(clone: Path, output: Path) -> Iterator[int]:
    """`make run` in the clone, until it prints its address; the port."""
    port = free_port()
    with output.open("w") as sink:
        process = subprocess.Popen(
            ["make", "run", f"PORT={port}"],
            cwd=clone,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
    try:
        _until(
            lambda: "/sign-in/" in output.read_text() or process.poll() is not None, START_SECONDS, "make run", output
        )
        if process.poll() is not None:
            raise RuntimeError(f"`make run` ended: {output.read_text()[-2000:]}")
        yield port
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            _until(lambda: process.poll() is not None, END_SECONDS, "the end of make run", output, strict=False)


def _make_video(port: int, key: str, photo: Path, out: Path) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120) as client:
        with photo.open("rb") as file:
            asset = _ok(client.post("/api/v1/assets", files={"file": file}))
        settings = {**SETTINGS, "asset_id": asset["id"]}
        job = _ok(client.post("/api/v1/jobs", json={"kind": "image_to_video", "settings": settings}))
        _until(lambda: _job(client, job["id"])["state"] in _OVER, VIDEO_SECONDS, "the video")
        job = _job(client, job["id"])
        if job["state"] != "succeeded":
            raise RuntimeError(f"The job ended as {job['state']}: {job.get('error')}")
        video = client.get(job["result"]["asset"]["urls"]["content"])
        video.raise_for_status()
        out.write_bytes(video.content)


def _job(client: httpx.Client, job: str) -> dict[str, Any]:
    return _ok(client.get(f"/api/v1/jobs/{job}"))


def _ok(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise RuntimeError(f"{response.request.method} {response.request.url} -> {response.text[:500]}")
    found: dict[str, Any] = response.json()
    return found


def _until(
    what: Callable[[], object], seconds: float, name: str, output: Path | None = None, *, strict: bool = True
) -> None:
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            if not strict:
                return
            said = output.read_text()[-2000:] if output else ""
            raise RuntimeError(f"{name} took more than {seconds:.0f} s. {said}")
        time.sleep(0.2)


def _output(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=_environment(), check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    """The caller's, without what belongs to this checkout: its virtual environment and its studio's settings."""
    mine = ("AQ_", "DATABASE_URL", "DJANGO_", "VIRTUAL_ENV", "PYTHONPATH", "PORT", "HOST", "MAKE", "MFLAGS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    path = [part for part in kept["PATH"].split(os.pathsep) if not Path(part).is_relative_to(ROOT)]
    return {**kept, "PATH": os.pathsep.join(path)}


def _processes_in(home: Path) -> list[psutil.Process]:
    """Every living process that was started in, from or for this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.environ().get("AQ_DATA_DIR", ""), process.cwd()]
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            continue
        if process.pid != os.getpid() and any(str(home) in word for word in words):
            found.append(process)
    return found


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=END_SECONDS)
