"""Several requests at once, and what an engine keeps of those before."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine import generate
from engine.batches import generate_many
from engine.events import Canceled, Preview
from engine.film import Generated, Task
from engine.generate import Engine
from engine.media.errors import MediaError
from engine.media.fields import MotionFields
from engine.recent import Recent
from engine.requests import Camera, ImageToVideo
from tests.engine.media.pictures import make_shot

SHORT = {"seconds": 3, "short_side": 540, "steps": 4}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Engine.load()
    torch.set_num_threads(threads)


@pytest.fixture
def photo(tmp_path: Path) -> tuple[Path, Path]:
    made = make_shot(300, 450)
    Image.fromarray(made.photo.rgb).save(tmp_path / "photo.png")
    Image.fromarray(made.alpha).save(tmp_path / "mask.png")
    return tmp_path / "photo.png", tmp_path / "mask.png"


@pytest.fixture
def films(monkeypatch: pytest.MonkeyPatch) -> dict[str, MotionFields]:
    """The motion of every video by its file's name; nothing is drawn and no file is written."""
    made: dict[str, MotionFields] = {}
    monkeypatch.setattr(generate, "render_video", lambda layers, fields, out, **how: made.update({out.name: fields}))
    return made


def off(one: MotionFields, other: MotionFields) -> float:
    return float(np.abs(one.scene_flow - other.scene_flow).max() / np.abs(one.scene_flow).max())


def test_requests_of_one_batch_are_what_they_are_alone(
    engine: Engine, photo: tuple[Path, Path], tmp_path: Path, films: dict[str, MotionFields]
) -> None:
    asked = {
        "pan": ImageToVideo(**SHORT, seed=1, camera=Camera(move="pan-left")),
        "words": ImageToVideo(**SHORT, seed=2, prompt="the camera goes slowly around it"),
    }
    shown: list[object] = []
    tasks = [Task(one, photo[0], tmp_path / name, photo[1], shown.append) for name, one in asked.items()]
    gone = Task(asked["pan"], tmp_path / "no.png", tmp_path / "gone")
    canceled = Task(
        ImageToVideo(**SHORT, format="1:1"), photo[0], tmp_path / "canceled", photo[1], is_canceled=lambda: True
    )

    outcomes = generate_many(engine, [tasks[0], gone, canceled, tasks[1]])
    seen = engine.photos.misses
    alone = {
        name: engine.generate(one, photo[0], tmp_path / f"alone {name}", mask=photo[1]) for name, one in asked.items()
    }

    made = dict(zip(asked, (outcomes[0], outcomes[3]), strict=True))
    assert [type(one) for one in outcomes[1:3]] == [MediaError, Canceled]
    for name in asked:
        assert isinstance(outcome := made[name], Generated) and outcome.settings["seed"] == asked[name].seed
        assert outcome.settings["decided_by"] == alone[name].settings["decided_by"]
        assert off(films[name], films[f"alone {name}"]) < 1e-5
        assert np.array_equal(films[name].plate, films[f"alone {name}"].plate)
    assert engine.photos.misses == seen  # photos that were seen before are not looked at again
    assert off(films["pan"], films["words"]) > 1e-2  # the control
    assert sum(isinstance(event, Preview) for event in shown) == 2
    assert set(films) == {*asked, *(f"alone {name}" for name in asked)}


def test_a_batch_that_nobody_wants_any_more_ends_within_a_step(
    engine: Engine, photo: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    forward = engine.dit.forward
    monkeypatch.setattr(engine.dit, "forward", lambda *args: (calls.append(1), forward(*args))[1])
    request = ImageToVideo(**SHORT, seed=1)
    tasks = [Task(request, photo[0], tmp_path / "a", photo[1], is_canceled=lambda: len(calls) == 2) for _ in range(2)]

    assert [type(one) for one in generate_many(engine, tasks)] == [Canceled, Canceled]
    assert len(calls) == 2


def test_fields_that_are_no_numbers_fail_their_own_request_alone(
    engine: Engine, photo: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    films: dict[str, MotionFields],
) -> None:  # fmt: skip
    tasks = [Task(ImageToVideo(**SHORT, seed=seed), photo[0], tmp_path / str(seed), photo[1]) for seed in (1, 2, 3)]
    denoise = engine.denoiser.denoise

    def broken(rows, *how):
        for data_NCTHW in denoise(rows, *how):
            factors = torch.tensor([np.nan if row.seed == 2 else 1.0 for row in rows])
            yield data_NCTHW * factors[:, None, None, None, None]

    monkeypatch.setattr(engine.denoiser, "denoise", broken)
    outcomes = generate_many(engine, tasks)

    assert [type(one) for one in outcomes] == [Generated, ValueError, Generated]
    assert "not finite" in str(outcomes[1]) and set(films) == {"1", "3"}


def test_only_the_latest_are_kept() -> None:
    kept: Recent[int, str] = Recent(2)
    for key in (1, 2, 1, 3):
        kept.get(key, lambda: "made")

    assert list(kept.values) == [1, 3]
    assert (kept.hits, kept.misses) == (1, 3)
