"""Finished files: whole or not there, right to the frame, still where nothing moves."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engine.events import Canceled
from engine.media.compose import Compositor
from engine.media.errors import MediaError
from engine.media.video import VideoWriter, decode_frames, probe_video, render_video
from tests.engine.media.pictures import frame_shot, make_fields, make_shot, psnr


@pytest.fixture(scope="module")
def layers():
    return frame_shot(make_shot(), (270, 480), "pan-left")[1]


def test_a_clip_is_what_was_asked_for(layers, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    render_video(layers, make_fields("pan"), tmp_path / "clip.mp4", 25, 30, on_frame=lambda *at: seen.append(at))

    info = probe_video(tmp_path / "clip.mp4")
    assert (info.width, info.height, info.fps, info.frames, info.duration) == (270, 480, 25.0, 30, 1.2)
    assert (info.codec, info.pixel_format, info.faststart) == ("h264", "yuv420p", True)
    assert seen == [(n, 30) for n in range(1, 31)]
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (int(frame.colorspace), int(frame.color_range)) == (1, 1)


def test_decoded_frames_are_the_rendered_ones_in_order_and_colour(layers, tmp_path: Path) -> None:
    fields = make_fields("pan")
    render_video(layers, fields, tmp_path / "clip.mp4", 24, 24)

    decoded = list(decode_frames(tmp_path / "clip.mp4"))

    compositor = Compositor(layers, fields)
    assert [round(time * 24) for time, _ in decoded] == list(range(24))
    for index in (0, 11, 23):
        assert psnr(decoded[index][1], compositor.frame(index / 23)) > 33
    assert psnr(decoded[0][1], compositor.frame(1.0)) < 25
    middle = decoded[0][1][200:300, 120:150].reshape(-1, 3).mean(0) - compositor.frame(0.0)[200:300, 120:150].reshape(
        -1, 3
    ).mean(0)
    assert np.abs(middle).max() < 3  # a wrong matrix or range would be off by more


def test_only_a_clip_without_motion_stands_still(layers, tmp_path: Path) -> None:
    def change(kind: str) -> float:
        fields = make_fields(kind)
        fields = replace(fields, light=1.5 * fields.light)  # light takes a share of what is left up to white
        render_video(layers, fields, tmp_path / "clip.mp4", 24, 60)
        frames = [cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(int) for _, rgb in decode_frames(tmp_path / "clip.mp4")]
        return float(np.mean([np.abs(a - b).mean() for a, b in pairwise(frames)]))

    still, sweep, pan = change("still"), change("sweep"), change("pan")

    assert still < 0.1  # of 255; half a level is what an eye begins to see as flicker
    assert sweep > 3 * still and pan > 0.5


def test_a_canceled_clip_leaves_what_was_there(layers, tmp_path: Path) -> None:
    out = tmp_path / "clip.mp4"
    out.write_bytes(b"an older clip")
    drawn: list[int] = []

    with pytest.raises(Canceled):
        render_video(layers, make_fields("pan"), out, 24, 48, lambda n, _: drawn.append(n), lambda: len(drawn) == 5)

    assert drawn == [1, 2, 3, 4, 5]
    assert out.read_bytes() == b"an older clip" and list(tmp_path.iterdir()) == [out]


WITH_LITTLE_DISK = """
import resource, signal, sys
import numpy as np
from engine.media.errors import MediaError
from engine.media.video import VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
noise = np.random.default_rng(0)
try:
    with VideoWriter(sys.argv[1], 320, 240, 24) as writer:
        for _ in range(60):
            writer.write(noise.integers(0, 255, (360, 320), dtype=np.uint8))
except MediaError as error:
    print(error.code)
"""


@pytest.mark.parametrize(("room", "said", "written"), [(300_000, "disk_full", []), (10**9, "", ["clip.mp4"])])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, room: int, said: str, written: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITH_LITTLE_DISK, tmp_path / "clip.mp4", str(room)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout.strip() == said
    assert [path.name for path in tmp_path.iterdir()] == written


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the video takes"), VideoWriter(tmp_path / "clip.mp4", 64, 48, 24) as writer:
        writer.write(np.zeros((48, 64), np.uint8))
    with pytest.raises(ValueError, match="even width"):
        VideoWriter(tmp_path / "clip.mp4", 63, 48, 24)

    assert not list(tmp_path.iterdir())


def test_what_is_not_a_whole_video_is_refused(layers, tmp_path: Path) -> None:
    whole, text, half = tmp_path / "clip.mp4", tmp_path / "text.mp4", tmp_path / "half.mp4"
    render_video(layers, make_fields("pan"), whole, 24, 24)
    text.write_text("not a video")
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    with pytest.raises(MediaError) as refusal:
        probe_video(text)
    assert refusal.value.code == "not_a_video"
    assert len(list(decode_frames(whole))) == 24
    with pytest.raises(MediaError) as refusal:
        list(decode_frames(half))
    assert refusal.value.code == "truncated"
