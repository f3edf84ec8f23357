"""Time and memory of one generation, in a process of its own on two cores, beside remapping and encoding alone.

`python -m tests.benchmarks.i2v_parts.speed PHOTO OUT.json [BUNDLE]`
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).parents[3]
RUNS = 3
CORES = 2
PHOTO_SIZE = (3000, 4000)  # width, height: 12 megapixels
FPS, SECONDS, WIDTH, HEIGHT = 24, 5, 1080, 1920


def measure_speed(bundle: Path | None) -> dict[str, Any]:
    """Seconds of `RUNS` generations and of the peer, interleaved; peak memory; what each stage took."""
    with tempfile.TemporaryDirectory(prefix="i2v-speed-") as name:
        photo, out = Path(name, "photo.jpg"), Path(name, "speed.json")
        cv2.imwrite(str(photo), cv2.cvtColor(_photo(), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
        command = [sys.executable, "-m", __spec__.name, str(photo), str(out), *([str(bundle)] if bundle else [])]
        subprocess.run(command, cwd=ROOT, check=True)
        return json.loads(out.read_text())


def _photo() -> np.ndarray:
    from datapipe.worlds.render import render_layers
    from datapipe.worlds.scene import sample_scene
    from trainer.evaluate.scenes import FIRST_SEED

    scene = sample_scene(np.random.default_rng(FIRST_SEED + 12), PHOTO_SIZE[0] / PHOTO_SIZE[1])
    half = render_layers(scene, PHOTO_SIZE[1] // 2, PHOTO_SIZE[0] // 2, supersample=1).composite
    grown = cv2.resize(half, PHOTO_SIZE, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    grown += np.random.default_rng(0).normal(0, 3, grown.shape).astype(np.float32)  # a sensor's noise, for the encoder
    return np.clip(grown, 0, 255).astype(np.uint8)


def _child(photo: Path, out: Path, bundle: Path | None) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    from engine.generate import Engine
    from engine.requests import ImageToVideo

    engine = Engine.load(bundle)
    request = ImageToVideo.model_validate(
        {"seconds": SECONDS, "fps": FPS, "seed": 1, "camera": {"move": "orbit-left"}, "subject": {"motion": "float"}}
    )
    video, ours, peer, stages = out.with_suffix(".mp4"), [], [], []
    peak = 0
    for run in range(RUNS):
        started = time.perf_counter()
        made = engine.generate(request, photo, video)
        ours.append(time.perf_counter() - started)
        stages.append(made.timings)
        if run == 0:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        _remap_and_encode(photo, video)
        peer.append(time.perf_counter() - started)
    out.write_text(json.dumps({"ours": ours, "peer": peer, "stages": stages, "peak_gb": peak * 1024 / 1e9}))


def _remap_and_encode(photo: Path, out: Path) -> None:
    """The least any such program does: every frame one bilinear remap of the decoded photo, converted and encoded."""
    from engine.media.video import VideoWriter

    image = cv2.resize(cv2.imread(str(photo)), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    x, y = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))
    with VideoWriter(out, WIDTH, HEIGHT, FPS) as writer:
        for index in range(SECONDS * FPS):
            maps = cv2.convertMaps(x + 0.7 * index, y + 0.2 * index, cv2.CV_16SC2)
            frame = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
            writer.write(cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420))


if __name__ == "__main__":
    _child(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
