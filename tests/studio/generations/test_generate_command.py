"""`manage.py generate` with a small engine: what it asks, what it writes, and what Ctrl-C leaves behind."""

import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from engine.requests import ImageToVideo
from studio.generations.management.commands import generate
from studio.jobs import engine_client
from studio.jobs.errors import Canceled
from tests.studio.rest import jpeg

CONTENT = b"a whole video"


class Made:
    width, height, fps, seconds = 1080, 1920, 24, 5.0
    settings, model = {"seed": 7}, {"name": "nano", "version": "1", "digest": "sha256:0"}
    timings = {"total": 1.0}

    def __init__(self, path: Path) -> None:
        self.path = path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg())
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the engine was asked; it answers with a file."""
    inputs: list[dict[str, Any]] = []

    def small(given: dict[str, Any], run: Any) -> Made:
        inputs.append(given)
        run.progress("render", 0.7, step=3, steps=5, eta_seconds=2.0)
        run.notice("motion_fitted", "The motion was made smaller.")
        (run.workdir / "video.mp4").write_bytes(CONTENT)
        return Made(run.workdir / "video.mp4")

    monkeypatch.setattr(engine_client, "generate_video", small)
    return inputs


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_says_what_it_understood(
    photo: Path, asked: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    said = {"prompt": "slow and calm", "decided_by": {"camera": "model", "subject": "model"}, "understood": {}}
    monkeypatch.setattr(Made, "settings", said)
    call_command("generate", str(photo), "-o", str(tmp_path / "out.mp4"))
    assert "Understood from the prompt: nothing of camera or subject." in capsys.readouterr().err


def test_every_option_reaches_the_engine(photo: Path, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    told = io.StringIO()
    words = f"{photo} --format 16:9 --seconds 4 --fps 30 --short-side 720 --camera orbit-left --strength 0.7"
    more = f"--subject float --subject-strength 0.4 --seed 7 --steps 8 --mask {photo} -o {out}"
    call_command("generate", *words.split(), *more.split(), "--prompt", "slow and calm", stdout=told)
    assert asked[0]["request"] == ImageToVideo.model_validate(
        {
            "format": "16:9",
            "seconds": 4,
            "fps": 30,
            "short_side": 720,
            "camera": {"move": "orbit-left", "strength": 0.7},
            "subject": {"motion": "float", "strength": 0.4},
            "prompt": "slow and calm",
            "seed": 7,
            "steps": 8,
        }
    )
    assert (asked[0]["photo"], asked[0]["mask"]) == (photo, photo)
    assert out.read_bytes() == CONTENT
    assert json.loads(told.getvalue())["settings"] == {"seed": 7}
    assert left_in(tmp_path) == ["out.mp4", "photo.jpg"]


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (["--seconds", "nan"], "seconds: Give a number; NaN and Infinity are none."),
        (["--seconds", "60"], "seconds: Give 15 or less."),
        (["--strength", "7"], "camera.strength: Give 1 or less."),
        (["--fps", "23"], "fps: Choose one of 24, 25 or 30."),
        (["--prompt", "a" * 100_000], "prompt: Shorten this to 2000 characters or fewer."),
        (["--mask", "nowhere.png"], "There is no file nowhere.png."),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_sentence(
    photo: Path, asked: list[dict[str, Any]], tmp_path: Path, option: list[str], sentence: str
) -> None:
    with pytest.raises(CommandError) as error:
        call_command("generate", str(photo), "-o", str(tmp_path / "out.mp4"), *option)
    assert str(error.value) == sentence
    assert asked == []


@pytest.mark.parametrize(("photo_name", "out"), [("gone.jpg", "out.mp4"), ("photo.jpg", "no/such/folder/out.mp4")])
def test_files_that_are_not_there_are_told(photo: Path, tmp_path: Path, photo_name: str, out: str) -> None:
    with pytest.raises(CommandError, match="There is no"):
        call_command("generate", str(tmp_path / photo_name), "-o", str(tmp_path / out))


@pytest.mark.parametrize(
    ("photo_name", "out", "sentence"),
    [
        ("photo.jpg", "", r"is a folder\. Name the MP4 to write in it\."),
        ("photo.jpg", "/proc/out.mp4", r"The folder /proc cannot be written into: No such file or directory\."),
        ("photo.jpg", "photo.jpg", r"would replace .*photo\.jpg, which it is made of\."),
        ("n" * 300, "out.mp4", r"The file .* cannot be read: File name too long\."),
    ],
)
def test_what_cannot_be_read_or_written_is_told_before_any_work(
    photo: Path, asked: list[dict[str, Any]], tmp_path: Path, photo_name: str, out: str, sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("generate", str(tmp_path / photo_name), "-o", str(tmp_path / out))
    assert asked == [] and left_in(tmp_path) == ["photo.jpg"]


def test_another_bundle_can_be_named(photo: Path, settings: Any, tmp_path: Path) -> None:
    settings.AQ_BUNDLE = settings.AQ_BUNDLE  # given back after the test

    with pytest.raises(CommandError, match=f"There is no model bundle at {tmp_path / 'new'}"):
        call_command("generate", str(photo), "-o", str(tmp_path / "out.mp4"), "--bundle", str(tmp_path / "new"))
    assert left_in(tmp_path) == ["photo.jpg"]


def test_what_the_engine_refuses_is_told_and_leaves_nothing(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(given: dict[str, Any], run: Any) -> Made:
        (run.workdir / "video.mp4").write_bytes(b"half")
        raise ValueError("The picture is damaged.")

    monkeypatch.setattr(engine_client, "generate_video", refusing)
    with pytest.raises(CommandError, match="The picture is damaged"):
        call_command("generate", str(photo), "-o", str(tmp_path / "out.mp4"))
    assert left_in(tmp_path) == ["photo.jpg"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_at_the_next_step_and_leaves_no_half_file(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    (tmp_path / "out.mp4").write_bytes(b"of an earlier run")

    def interrupted(given: dict[str, Any], run: Any) -> Made:
        (run.workdir / "video.mp4").write_bytes(b"half")
        assert not run.is_canceled()
        os.kill(os.getpid(), number)
        assert run.is_canceled()
        raise Canceled

    monkeypatch.setattr(engine_client, "generate_video", interrupted)
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as end:
        call_command("generate", str(photo), "-o", str(tmp_path / "out.mp4"))
    assert end.value.code == generate.CANCELED
    assert (tmp_path / "out.mp4").read_bytes() == b"of an earlier run"
    assert left_in(tmp_path) == ["out.mp4", "photo.jpg"]
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_does_not_wait_for_the_step(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(given: dict[str, Any], run: Any) -> Made:
        (run.workdir / "video.mp4").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second signal was not obeyed")

    monkeypatch.setattr(engine_client, "generate_video", deaf)
    with pytest.raises(SystemExit):
        call_command("generate", str(photo), "-o", str(tmp_path / "out.mp4"))
    assert left_in(tmp_path) == ["photo.jpg"]
