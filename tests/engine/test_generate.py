"""What a generation reports: settings that make the same video again, and what was really done beside them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from engine import generate, seen
from engine.batches import generate_many
from engine.bundles import SHIPPED, BundleError, read_bundle, write_bundle
from engine.clock import Clock
from engine.conditions import CAMERA_IDS, SUBJECT_IDS
from engine.denoise import USUAL_STRENGTH
from engine.events import Canceled, Notice
from engine.film import Film, Task
from engine.generate import Engine, Prepared
from engine.media.fields import MotionFields
from engine.media.masks import read_mask
from engine.requests import Camera, ImageToVideo, Subject
from engine.runtime.errors import RankDied
from tests.engine.media.pictures import make_fields, make_shot

SHORT = {"seconds": 3, "short_side": 540, "steps": 4, "seed": 5}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load()


@pytest.mark.parametrize("part", ["single_dit", "motion_vae", "text"])
def test_weights_are_half_as_large_on_disk_as_in_the_type_that_computes(engine: Engine, part: str) -> None:
    stored = load_file(engine.bundle.file(f"{part}.safetensors"))
    model = {"single_dit": engine.dit, "motion_vae": engine.vae, "text": engine.text}[part]
    large = {name for name, tensor in stored.items() if tensor.ndim > 1}

    assert {stored[name].dtype for name in large} == {torch.bfloat16}
    loaded = model.state_dict()
    assert {loaded[name].dtype for name in stored} == {torch.float32}
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in stored.items())


@pytest.fixture
def shot(tmp_path: Path) -> tuple[Path, Path]:
    """A photo with its product left of the middle, and the mask."""
    made = make_shot(600, 900)
    photo, mask = np.roll(made.photo.rgb, -150, axis=1), np.roll(made.alpha, -150, axis=1)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path / "photo.png", tmp_path / "mask.png"


@pytest.fixture
def filmed(monkeypatch: pytest.MonkeyPatch) -> list[MotionFields]:
    """The motion of every video that is asked for; nothing is drawn and no file is written."""
    films: list[MotionFields] = []
    monkeypatch.setattr(generate, "render_video", lambda layers, fields, out, **how: films.append(fields))
    return films


def test_the_settings_make_the_same_video_again(
    engine: Engine, shot: tuple[Path, Path], tmp_path: Path, filmed: list[MotionFields]
) -> None:
    photo, mask = shot
    request = ImageToVideo(**SHORT, camera=Camera(move="pan-left", strength=1.0))

    first = engine.generate(request, photo, tmp_path / "a.mp4", mask=mask)
    again = ImageToVideo.model_validate({name: first.settings[name] for name in ImageToVideo.model_fields})
    second = engine.generate(again, photo, tmp_path / "b.mp4", mask=mask)
    weaker = Camera(move="pan-left", strength=first.settings["applied_strength"])
    engine.generate(request.model_copy(update={"camera": weaker}), photo, tmp_path / "c.mp4", mask=mask)

    assert "strength_reduced" in {notice.code for notice in first.notices}  # there is little room on the left
    assert again == request and first.settings["applied_strength"] < 1.0
    assert first.settings == second.settings
    assert np.array_equal(filmed[0].scene_flow, filmed[1].scene_flow)
    assert not np.array_equal(filmed[0].scene_flow, filmed[2].scene_flow)


@pytest.mark.parametrize(("amount", "told"), [(0.05, False), (0.9, True)])
def test_a_motion_that_had_to_be_made_smaller_is_told(
    engine: Engine,
    shot: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    filmed: list[MotionFields],
    amount: float,
    told: bool,
) -> None:
    def wild(*asked: object) -> Iterator[MotionFields]:
        yield make_fields("pan", amount=amount)

    monkeypatch.setattr(engine, "denoise", wild)
    events: list[object] = []
    request = ImageToVideo(**SHORT, camera=Camera(move="static", strength=1.0))

    made = engine.generate(request, shot[0], tmp_path / "a.mp4", mask=shot[1], on_event=events.append)

    fitted = [notice for notice in made.notices if notice.code == "motion_fitted"]
    assert bool(fitted) == told
    assert [event for event in events if isinstance(event, Notice)] == made.notices
    assert made.settings["applied_strength"] is None, "a camera that stands still has no strength"


@pytest.mark.parametrize(("amount", "leaves"), [(0.06, False), (0.9, True)])
def test_a_product_that_leaves_at_half_the_motion_too_is_told(
    engine: Engine, shot: tuple[Path, Path], tmp_path: Path, monkeypatch, filmed, amount: float, leaves: bool
) -> None:
    monkeypatch.setattr(engine, "denoise", lambda *asked: (f for f in [make_fields("pan", amount=-amount)]))
    request = ImageToVideo(**SHORT, camera=Camera(move="static", strength=1.0))  # the product goes left

    made = engine.generate(request, shot[0], tmp_path / "a.mp4", mask=shot[1])

    told = {notice.code for notice in made.notices}
    assert "motion_fitted" in told and ("product_leaves" in told) == leaves


def test_a_move_left_to_the_model_is_shortened_by_what_was_announced(engine: Engine) -> None:
    room = dict.fromkeys(("room", "planned_room", "real_room"), ((1, 1), (1, 1)))
    framing = SimpleNamespace(strength_scale=0.5, cut=(0, 0, 0, 0), keeps=(0, 0, 0, 0), **room)
    fields = make_fields("pan", amount=0.1)

    def travel(move: str) -> float:
        prepared = Prepared(None, framing, None, Camera(move=move), [])
        return float(np.abs(prepared.fit(fields)[0].scene_flow).max())

    assert travel("pan-left") == pytest.approx(0.1)
    assert travel("auto") == pytest.approx(0.05)


def test_cancel_is_heard_while_the_photo_is_prepared(
    engine: Engine, shot: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large photo takes as long to prepare as a video: whether to go on is asked after each part of it."""
    done: list[str] = []
    for name in ("open_photo", "build_layers"):
        work = getattr(generate, name)
        monkeypatch.setattr(generate, name, lambda *a, name=name, work=work: (done.append(name), work(*a))[1])
    monkeypatch.setattr(engine, "_mask", lambda photo, path: (done.append("mask"), read_mask(path, photo.size))[1])
    parts = ["open_photo", "mask", "build_layers"]
    for count in range(len(parts) + 1):
        done.clear()
        task = Task(
            ImageToVideo(**SHORT), shot[0], tmp_path / "a.mp4", shot[1], is_canceled=lambda n=count: len(done) >= n
        )
        with pytest.raises(Canceled):
            engine.begin(task)
        assert done == parts[:count]
    assert engine.begin(Task(ImageToVideo(**SHORT), shot[0], tmp_path / "a.mp4", shot[1])).prepared, "the control"


def says(engine: Engine, monkeypatch: pytest.MonkeyPatch, camera: str, subject: str, off: float) -> None:
    """Let every prompt lie near to these meanings: `off` of the way to the nearest other one, or more."""
    parts = []
    for k, choice in enumerate((CAMERA_IDS.index(camera), SUBJECT_IDS.index(subject))):
        classes = engine.dit.classes(k, USUAL_STRENGTH)
        others = torch.cat([classes[:choice], classes[choice + 1 :]])
        nearest = others[(others - classes[choice]).square().sum(-1).argmin()]
        parts.append(classes[choice] + off * (nearest - classes[choice]))
    monkeypatch.setattr(engine.dit, "said", lambda text, mask: torch.stack(parts)[None])


@pytest.mark.parametrize(
    ("camera", "subject"), [("pan-left", "auto"), ("roll-right", "turn"), ("auto", "float"), ("auto", "auto")]
)
@pytest.mark.parametrize(("off", "right"), [(0.4, True), (0.6, False)])
def test_a_prompt_is_understood_as_the_control_of_the_nearest_meaning(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, camera: str, subject: str, off: float, right: bool
) -> None:
    says(engine, monkeypatch, camera, subject, off)
    meant = {name: what for name, what in (("camera", camera), ("subject", subject)) if what != "auto"}

    assert (engine.understood("some words") == meant) == right


@pytest.mark.parametrize(
    ("asked", "prompt", "decided_by", "understood"),
    [
        ({}, "some words", {"camera": "prompt", "subject": "model"}, {"camera": "pan-left"}),
        ({}, "  ", {"camera": "model", "subject": "model"}, {}),
        ({"camera": Camera(move="static")}, "some words", {"camera": "control", "subject": "model"}, {}),
        (
            {"subject": Subject(motion="float")},
            "words",
            {"camera": "prompt", "subject": "control"},
            {"camera": "pan-left"},
        ),
    ],
)
def test_who_decided_is_reported(
    engine: Engine, shot: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    filmed: list[MotionFields], asked: dict[str, object], prompt: str,
    decided_by: dict[str, str], understood: dict[str, str],
) -> None:  # fmt: skip
    says(engine, monkeypatch, "pan-left", "auto", 0.1)

    made = engine.generate(ImageToVideo(**SHORT, prompt=prompt, **asked), shot[0], tmp_path / "a.mp4", mask=shot[1])

    assert made.settings["decided_by"] == decided_by
    assert made.settings["understood"] == understood
    # A move that nobody asked for has no strength that could be told, nor has one that stands still.
    moves = decided_by["camera"] == "control" and made.settings["camera"]["move"] != "static"
    assert (made.settings["applied_strength"] is None) == (not moves)


def test_ranks_that_die_before_the_report_leave_no_file(tmp_path: Path, filmed: list[MotionFields]) -> None:
    def dies(prompt: str) -> dict[str, str]:
        raise RankDied("ended with -9: rank 1.")

    engine = Engine.__new__(Engine)  # no models: the film is denoised
    engine.denoiser = SimpleNamespace(understood=dies)
    prepared = SimpleNamespace(layers=None, notices=[], fit=lambda fields: (fields, 1.0), share_kept=lambda made: 1.0)
    task = Task(ImageToVideo(**SHORT, prompt="some words"), tmp_path / "photo.png", tmp_path / "a.mp4")
    with pytest.raises(RankDied):
        engine.finish(Film(task, 5, Clock(task.on_event), prepared, None, make_fields("pan")))
    assert not filmed


def sampled_otherwise(tmp_path: Path, **sampling: float) -> Engine:
    """The shipped bundle, which says that it is to be sampled in another way."""
    shipped = read_bundle(SHIPPED)
    made = tmp_path / "bundle"
    shutil.copytree(shipped.path, made)
    capabilities = {**shipped.capabilities, "sampling": {**shipped.capabilities["sampling"], **sampling}}
    about = {"name": "other", "version": "1", "kinds": shipped.kinds, "provenance": {}}
    return Engine(write_bundle(made, capabilities=capabilities, **about))


def test_a_request_that_leaves_the_steps_open_gets_those_of_the_bundle(tmp_path, engine: Engine, shot, filmed) -> None:
    distilled = sampled_otherwise(tmp_path, steps=5, guidance=1.0)
    rows: list[int] = []
    distilled.dit.register_forward_hook(lambda module, args, made: rows.append(len(args[0])))
    open_request = ImageToVideo(seconds=3, short_side=540, seed=5)
    made = distilled.generate(open_request, shot[0], tmp_path / "a.mp4", mask=shot[1])
    assert (rows, made.settings["steps"]) == ([1] * 5, 5), "without guidance a step costs one row"
    tasks = [Task(open_request, shot[0], tmp_path / "a.mp4", shot[1]), Task(open_request, shot[0], tmp_path / "b.mp4")]
    rows.clear()
    outcomes = generate_many(distilled, tasks)
    assert (rows, [one.settings["steps"] for one in outcomes]) == ([2] * 5, [5, 5])
    asked = distilled.settled(ImageToVideo(**{**SHORT, "steps": 12}))
    assert asked.steps == 12, "the control: what is asked for is done"
    assert engine.settled(open_request).steps == 12, "the control: the shipped bundle says no number"


def test_guidance_of_one_is_the_asked_row_alone(tmp_path, engine: Engine, shot, monkeypatch) -> None:
    monkeypatch.setattr(seen, "as_asked", lambda fields, *_: fields)  # as decoded
    request = ImageToVideo(**SHORT, camera=Camera(move="pan-left"))
    alone = sampled_otherwise(tmp_path, guidance=1.0)
    prepared = engine.prepare(request, *shot)
    plain, one, guided = (
        [*some.denoise(request, prepared, 5)][-1].scene_flow
        for some in (sampled_otherwise(tmp_path / "almost", guidance=1.000001), alone, engine)
    )
    assert np.abs(one - plain).max() < 5e-5
    assert np.abs(one - guided).max() > 5e-4, "the control: the shipped bundle is guided"


@pytest.mark.parametrize("steps", [0, 2.5, True, "four"])
def test_a_bundle_of_no_number_of_steps_is_refused(tmp_path, steps) -> None:
    with pytest.raises(BundleError, match=r"sampling\.steps is"):
        sampled_otherwise(tmp_path, steps=steps)
