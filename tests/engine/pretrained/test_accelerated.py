"""Guidance over ranks and a cache on an imported Wan pipeline: the frames of one process, and what a budget buys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine import __main__ as command_line
from engine.bundles import Bundle
from engine.cache.budget import Calibration, Setting
from engine.cache.bundled import with_calibration
from engine.parallel.mesh import Axis, Mesh, MeshShape
from engine.pretrained.arguments import Ask, times_of
from engine.pretrained.calibrating import calibrated
from engine.pretrained.generate import PretrainedEngine
from tests.engine.pretrained import cases

STEPS = 4
ASK = Ask("a red cup", 32, 48, 9, STEPS, 4.0, 7)  # odd: 3 x 3 x 2 tokens for each half
ODD = Setting("schedule", {"steps": ["all", "asked 1 1 -1", "none 1.4 -0.4", "all"]}, 0.04, 0.05, 0.6, 0.25)
BLOCKS = Setting("first-block", {"threshold": 0.9}, 0.02, 0.05, 0.7, 0.0)


@pytest.fixture(scope="session")
def engine(loaded) -> PretrainedEngine:
    return loaded("wan")


@pytest.fixture(scope="session")
def bundle(engine) -> Bundle:
    """Two settings that no measurement stands behind: within 0.03 the blocks', within 0.05 the schedule."""
    times = times_of(engine.pipelines["text_to_video"], STEPS)[:-1]
    found = Calibration(tuple(times), ASK.guidance, 1, (ODD, BLOCKS))
    return with_calibration(engine.bundle, found, engine.bundle.path.with_name("calibrated"))


def off(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize(
    "shape",
    [
        MeshShape(cfg=2),
        *(pytest.param(MeshShape(cfg=2, **{axis: 2}), marks=pytest.mark.full) for axis in ("ulysses", "ring")),
    ],
    ids=str,
)
@pytest.mark.parametrize("budget", [0.0, 0.03])
def test_ranks_make_the_frames_of_one_process(ranks, engine, bundle, shape, budget):
    alone = PretrainedEngine.load(bundle, cache=budget)
    wanted = alone.sample(ASK, "text_to_video")
    for frames, saved in ranks(shape.world).run(cases.sampled, bundle.path, shape, ASK, budget):
        assert off(frames, wanted) <= 1  # of 255: the last bit may fall the other way
        assert saved == alone.cache.saved
    assert budget == 0 or 0 < alone.cache.saved["hits"] < STEPS


def test_so_they_do_from_a_photo(ranks, loaded):
    """Its transformer reads 36 channels, the photo's among them, and makes 16."""
    photo = np.random.default_rng(0).integers(0, 256, (ASK.height, ASK.width, 3), dtype=np.uint8)
    ask, alone = replace(ASK, image=photo), loaded("wan_i2v")
    wanted = alone.sample(ask, "image_to_video")
    for frames, _ in ranks(2).run(cases.sampled, alone.bundle.path, MeshShape(cfg=2), ask, kind="image_to_video"):
        assert off(frames, wanted) <= 1
    assert off(alone.sample(replace(ask, image=255 - photo), "image_to_video"), wanted) > 1  # the control


def test_ranks_agree_on_a_seed_that_was_left_to_them_and_on_a_cancel(ranks, engine, tmp_path):
    made = [ranks(2).run(cases.generated, engine.bundle.path, MeshShape(cfg=2), tmp_path) for _ in range(2)]
    assert made[0][0] == made[0][1] and made[0] != made[1]
    gone = ranks(2).run(cases.generated, engine.bundle.path, MeshShape(cfg=2), tmp_path, cancel_at=2)
    assert gone == [[0, 1, 2], [0, 1, 2]]


def test_halves_that_are_swapped_are_found(ranks, engine):
    wanted = engine.sample(ASK, "text_to_video")
    made = ranks(2).run(cases.sampled, engine.bundle.path, MeshShape(cfg=2), ASK, fault="swapped halves")
    assert all(off(frames, wanted) > 1 for frames, _ in made)


def test_halves_in_one_batch_are_the_two_calls(engine, bundle):
    """A budget that no setting keeps: both halves come from one call, and nothing is forecast."""
    whole = PretrainedEngine.load(bundle, cache=0.001)
    assert off(whole.sample(ASK, "text_to_video"), engine.sample(ASK, "text_to_video")) <= 1
    assert whole.cache.saved == {"budget": 0.001, "hits": 0, "misses": STEPS, "work": 1.0}
    assert "forward" not in vars(whole.denoisers[0])


def test_a_budget_forecasts_what_the_calibration_says(engine, bundle):
    cached, whole = PretrainedEngine.load(bundle, cache=0.05), engine.sample(ASK, "text_to_video")
    calls = []
    hook = cached.denoisers[0].blocks[0].register_forward_pre_hook(lambda _, given: calls.append(len(given[0])))
    made = cached.sample(ASK, "text_to_video")
    hook.remove()
    assert calls == [2, 1, 2]  # rows
    assert cached.cache.saved == {"budget": 0.05, "hits": 2, "misses": 2, "work": 0.625}
    assert off(made, whole) > 1


def test_a_wan_pipeline_is_calibrated_on_its_own_requests(engine):
    asks = [Ask(prompt, 32, 32, 5, 3, 4.0, seed) for seed, prompt in enumerate(("a cup", "red"))]
    found = calibrated(engine, asks, "text_to_video", only=("taylor", "first-block", "guidance"))
    assert {setting.policy for setting in found.settings} >= {"taylor", "guidance"}
    assert all(0 < setting.work < 1 or setting.error == 0 for setting in found.settings)
    assert "forward" not in vars(engine.denoisers[0])


def test_without_guidance_there_is_nothing_to_calibrate(engine):
    with pytest.raises(ValueError, match="no two halves to calibrate"):
        calibrated(engine, [Ask("a cup", 32, 32, 5, 3, 1.0, 0)], "text_to_video")


@pytest.mark.parametrize(
    ("name", "more", "sentence"),
    [
        ("wan", {"steps": 5}, "calibrated for 4 steps"),
        ("wan", {"guidance": 3.0}, "with a guidance of 4"),
        ("wan", {"guidance": 1.0}, "no two halves"),
    ],
)
def test_what_a_cache_is_not_for_is_told(bundle, name, more, sentence):
    ask = Ask(**{**vars(ASK), **more})
    with pytest.raises(ValueError, match=sentence):
        PretrainedEngine.load(bundle, cache=0.05).sample(ask, "text_to_video")


def test_models_that_cannot_be_cached_say_why_before_they_are_loaded(loaded, tmp_path, capsys, monkeypatch):
    bundles = {name: loaded(name).bundle for name in ("wan", "wan_a14b", "ltx")}
    monkeypatch.setattr("engine.pretrained.generate.load_pipelines", lambda *given: pytest.fail("weights are loaded"))
    found = Calibration((1.0, 0.75, 0.5, 0.25), 4.0, 1, (BLOCKS,))
    for name, sentence in (("wan_a14b", "take turns"), ("ltx", "connected to Wan's transformer only")):
        made = with_calibration(bundles[name], found, tmp_path / name)
        options = ["--bundle", str(made.path), "--prompt", "a cup", "--cache", "0.05", "-o", str(tmp_path / "out.mp4")]
        assert command_line.main(["generate", *options]) == 2
        assert sentence in capsys.readouterr().err
    with pytest.raises(ValueError, match="the bundle wan brings no calibration"):
        PretrainedEngine.load(bundles["wan"], cache=0.05)
    made = with_calibration(bundles["wan"], found, tmp_path / "wan")
    with pytest.raises(ValueError, match="An error budget is a share from 0 on"):
        PretrainedEngine.load(made, cache=-0.05)
    mesh = Mesh(MeshShape(tensor=2), *[Axis(1, 0, None)] * 7, devices=None)
    for name, sentence in (("wan", "over cfg, ulysses and ring only"), ("ltx", "no sequence plan for LTXVideo")):
        with pytest.raises(ValueError, match=sentence):
            PretrainedEngine.load(bundles[name], mesh=mesh)
    (tmp_path / "cup.png").touch()
    asked = ["--bundle", str(bundles["wan"].path), "-o", str(tmp_path / "out.mp4"), str(tmp_path / "cup.png")]
    assert command_line.main(["generate", *asked]) == 2
    assert "does not serve image_to_video: it serves text_to_video" in capsys.readouterr().err
