"""`manage.py generate`: a video from a photo on the command line, by the same request and engine as in the browser."""

import json
import signal
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from engine.options import add_video_options, check_files, image_to_video, understood_of
from engine.requests import ImageToVideo
from studio.api.problems import field_errors
from studio.jobs import engine_client
from studio.jobs.errors import Canceled

CANCELED = 130  # what a shell reports for a command that Ctrl-C has ended


class Command(BaseCommand):
    help = "Make a video from a product photo. Needs no server and no database."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("photo", type=Path, help="a JPEG, PNG (its transparency is the mask) or WebP")
        add_video_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        request = _request(options)
        photo, out, mask = options["photo"], options["out"], options["mask"]
        try:
            check_files(out, photo, mask)
        except ValueError as error:
            raise CommandError(str(error)) from error
        if options["bundle"]:
            settings.AQ_BUNDLE = options["bundle"].resolve()  # this process has one engine, and makes one video
        console = Console(stderr=True)
        try:
            output = _generate({"request": request, "photo": photo, "mask": mask}, out, console)
        except Canceled:
            console.print("Canceled. Nothing was written.")
            sys.exit(CANCELED)
        except ValueError as error:
            raise CommandError(str(error)) from error
        _report(output, out, console)
        self.stdout.write(
            json.dumps({"settings": output.settings, "model": output.model, "timings": output.timings}, indent=2)
        )


def _request(options: dict[str, Any]) -> ImageToVideo:
    try:
        return image_to_video(options)
    except ValidationError as error:
        wrong = [f"{found.field.removeprefix('request.')}: {found.detail}" for found in field_errors(error, "request")]
        raise CommandError(" ".join(wrong)) from error


def _generate(inputs: dict[str, Any], out: Path, console: Console) -> Any:
    """Run the engine in a folder beside `out`, and give the finished file its name in one step."""
    with (
        # On the same disk, so that the finished file only has to be renamed.
        tempfile.TemporaryDirectory(dir=out.parent, prefix=".generate-") as folder,
        _bar(console) as bar,
        _stopping_on_signals() as stopped,
    ):
        run = ConsoleRun(Path(folder), bar, stopped)
        output = engine_client.generate_video(inputs, run)
        Path(output.path).replace(out)
        return output


class ConsoleRun:
    """What a run may do while it works (`studio.jobs.kinds.Run`), told on a terminal."""

    def __init__(self, workdir: Path, bar: Progress, stopped: list[int]) -> None:
        self.workdir = workdir
        self._bar = bar
        self._stopped = stopped
        self._task = bar.add_task("load", total=1.0, left="")

    def progress(
        self,
        stage: str,
        fraction: float,
        *,
        step: int | None = None,
        steps: int | None = None,
        eta_seconds: float | None = None,
    ) -> None:
        left = f"{eta_seconds:.0f} s left" if eta_seconds is not None else ""
        self._bar.update(self._task, description=stage, completed=fraction, left=left)

    def preview(self, jpeg: bytes, step: int | None = None) -> None:
        """A terminal shows no pictures."""

    def notice(self, code: str, message: str) -> None:
        self._bar.console.print(message)

    def is_canceled(self) -> bool:
        return bool(self._stopped)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:>8}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=console,
    )


@contextmanager
def _stopping_on_signals() -> Iterator[list[int]]:
    """The signals that came: the first Ctrl-C asks the engine to stop at its next step, the second does not ask."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    except KeyboardInterrupt:
        raise Canceled from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(output: Any, out: Path, console: Console) -> None:
    console.print(
        f"{out}: {output.width}x{output.height}, {output.seconds:g} s at {output.fps} fps, "
        f"by {output.model['name']} {output.model['version']}"
    )
    if understood := understood_of(output.settings):
        console.print(understood)
