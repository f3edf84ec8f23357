"""The figures of image-to-video: `make bench NAME=i2v`, or `python tests/benchmarks/i2v.py --scenes 16 --only films`.

Scenes are held out, results repeat for the same arguments; the table is printed and `build/bench/i2v.json` written.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # run as a script, from anywhere

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: E402

from tests.benchmarks.i2v_parts import masks, report  # noqa: E402
from tests.benchmarks.i2v_parts.as_users import UserScores, score_as_user, user_rows  # noqa: E402
from tests.benchmarks.i2v_parts.browser import measure_browser, p95  # noqa: E402
from tests.benchmarks.i2v_parts.first_video import measure_first_video  # noqa: E402
from tests.benchmarks.i2v_parts.speed import measure_speed  # noqa: E402
from trainer.evaluate.plan import Clip, plan_clips  # noqa: E402
from trainer.evaluate.rows import Goal, Row, motion_rows, picture_rows, prompt_rows  # noqa: E402
from trainer.evaluate.work import ClipScores, Worker  # noqa: E402

PARTS = ("films", "prompts", "masks", "users", "speed", "browser", "first-video")
USERS = 24  # scenes of the part `users`
UPLOADS_A_VIDEO = 5  # of the part `browser`
_worker: Worker
Item = TypeVar("Item")
Result = TypeVar("Result")


def main() -> None:
    options = _options()
    parts = set(options.only or PARTS)
    rows: list[Row] = []
    if "speed" in parts:  # first, and alone on the machine
        rows += speed_rows(options.bundle)
    if parts & {"films", "prompts"}:
        clips = plan_clips(options.scenes, options.short_side, large=not options.no_large)
        job = partial(_score_clip, with_prompt="prompts" in parts)
        scores = sorted(_spread(job, clips, "films", options), key=lambda score: score.clip.index)
        rows += motion_rows(scores) + picture_rows(scores) if "films" in parts else []
        rows += prompt_rows(scores)
    if "masks" in parts:
        rows += mask_rows(options)
    if "users" in parts:
        rows += user_rows(list(_spread(_score_user, range(min(options.scenes, USERS)), "as users get it", options)))
    if "browser" in parts:
        rows += browser_rows(options.videos)
    if "first-video" in parts:
        rows += first_video_rows()
    report.print_table(rows)
    report.write_json(rows, options.out)


def speed_rows(bundle: Path | None) -> list[Row]:
    found = measure_speed(bundle)
    ours, peer = float(np.median(found["ours"])), float(np.median(found["peer"]))
    name = "remap and x264 alone"
    return [
        Row(
            "5 s at 1080x1920, 24 fps, from 12 megapixels, 2 cores",
            "s",
            Goal(high=20),
            ours,
            name,
            {name: peer},
            len(found["ours"]),
            {"stages": found["stages"], "aim": 8},
        ),
        Row("peak memory of that process", "GB", Goal(high=3), found["peak_gb"], scenes=1),
    ]


def browser_rows(videos: int) -> list[Row]:
    found = measure_browser(photos=UPLOADS_A_VIDEO * videos, videos=videos)
    dropped, unseen = {"dropped": found.dropped}, {"never shown themselves": found.unseen}
    return [
        Row(
            "mask shown after upload while a video is made, p95",
            "s",
            Goal(high=2),
            p95(found.mask),
            scenes=len(found.mask),
            detail=dropped,
        ),
        Row(
            "event written -> shown in the browser, p95",
            "s",
            Goal(high=0.25),
            p95(found.event),
            scenes=len(found.event),
            detail=unseen,
        ),
    ]


def first_video_rows() -> list[Row]:
    found = measure_first_video()
    what = "fresh clone -> first finished video, warm package cache"
    detail = {"commit": found.commit, "seconds from the start": found.seconds}
    return [Row(what, "min", Goal(), found.minutes, scenes=1, detail=detail)]


def mask_rows(options: argparse.Namespace) -> list[Row]:
    scenes = list(_spread(_score_mask, range(options.scenes), "masks", options))
    drawn = list(_spread(_score_drawn, sorted(masks.DRAWN.glob("*.json")), "drawn masks", options))
    rows = []
    for what, goal, found in (
        ("automatic mask, held-out scenes, mean", 0.90, scenes),
        ("automatic mask, hand-drawn masks of real photographs, mean", 0.80, drawn),
    ):
        mean = {
            name: float(np.mean([getattr(one, name) for one in found])) for name in ("ours", "grabcut", "grabcut_told")
        }
        baselines: dict[str, float | None] = {"GrabCut": mean["grabcut"], "GrabCut, true box": mean["grabcut_told"]}
        detail = {one.name: round(one.ours, 3) for one in found} if found is drawn else {}
        rows.append(Row(what, "IoU", Goal(low=goal), mean["ours"], "GrabCut", baselines, len(found), detail))
    return rows


def _spread(job: Callable[[Item], Result], items: Any, title: str, options: argparse.Namespace) -> Iterator[Result]:
    """Results of `job` for all items, from several processes, in the items' order."""
    items = list(items)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    context = multiprocessing.get_context("spawn")
    with (
        Progress(*columns) as progress,
        ProcessPoolExecutor(options.jobs, context, _load, (options.bundle, options.jobs)) as pool,
    ):
        bar = progress.add_task(title, total=len(items))
        futures = [pool.submit(job, item) for item in items]
        for _ in as_completed(futures):
            progress.advance(bar)
        results = [future.result() for future in futures]
    yield from results


def _load(bundle: Path | None, jobs: int) -> None:
    global _worker
    _worker = Worker.load(bundle, threads=max(1, len(os.sched_getaffinity(0)) // jobs))


def _score_clip(clip: Clip, *, with_prompt: bool) -> ClipScores:
    return _worker.score(clip, with_prompt=with_prompt)


def _score_user(index: int) -> UserScores:
    with tempfile.TemporaryDirectory(prefix="i2v-") as name:
        return score_as_user(_worker.engine, index, Path(name))


def _score_mask(index: int) -> masks.MaskScores:
    return masks.score_scene(index, _worker.engine.masker.mask)


def _score_drawn(path: Path) -> masks.MaskScores:
    return masks.score_drawn(path, _worker.engine.masker.mask)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=200, help="held-out scenes (200)")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="some parts of the run")
    parser.add_argument(
        "--short-side",
        type=int,
        choices=(540, 720, 1080),
        default=540,
        help="of films that rows on pictures do not need at 1080",
    )
    parser.add_argument(
        "--no-large", action="store_true", help="no films at 1080: without sharpness, halo and first frame"
    )
    parser.add_argument(
        "--videos", type=int, default=4, help="of the part `browser`: 15 s at 1080 each, a few minutes on 2 cores (4)"
    )
    parser.add_argument("--bundle", type=Path, help="another bundle than the shipped one")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes (one a core)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "i2v.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
