"""Plans: what is chosen, what is refused and with which words, and how far predictions are from published times."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest

from engine import planner, timing
from engine.axes import MeshShape
from engine.bundles import SHIPPED
from engine.commands.plan import model_of
from engine.latent_video import LatentVideo
from engine.models.presets import MULTIMODAL_DIT, SINGLE_DIT
from engine.planner import (
    WAN_VAE,
    CannotFit,
    Memory,
    Model,
    Video,
    latent_grid,
    least_gb,
    make_plan,
    peaks_of,
    work_of,
)
from engine.timing import machine_of
from tests.benchmarks.engine_parts import planner as figures

SMALL = Model("2b", SINGLE_DIT["2b"], WAN_VAE, 9.5)
LARGE = Model("13b", MULTIMODAL_DIT["13b"], WAN_VAE, 9.5)
SHORT = Video(81, 832, 480, 50)
LONG = Video(121, 1280, 720, 50)


# --- what is chosen ---


def test_one_device_with_room_does_everything_as_it_is():
    plan = make_plan(SMALL, SHORT, machine_of("h100", 1))
    assert (plan.layout, plan.memory) == (MeshShape(), Memory())
    assert plan.speedup == pytest.approx(1)
    assert plan.times.total == pytest.approx(50 * plan.times.step + plan.times.decode)


def test_two_devices_take_a_half_of_guidance_each():
    assert make_plan(LARGE, LONG, machine_of("h100", 2)).layout == MeshShape(cfg=2)
    without = make_plan(LARGE, replace(LONG, guidance=False), machine_of("h100", 2)).layout
    assert (without.cfg, without.sequence) == (1, 2)


@pytest.mark.parametrize("devices", [1, 2, 3, 4, 6, 8])
def test_every_device_has_work_and_no_plan_is_slower_than_fewer_devices(devices):
    plan = make_plan(LARGE, LONG, machine_of("h100", devices))
    assert plan.layout.world == devices
    assert 0.9 * devices < plan.speedup <= devices


def test_several_videos_go_side_by_side():
    assert make_plan(SMALL, replace(SHORT, videos=4), machine_of("l40", 8)).layout == MeshShape(data=4, cfg=2)


def test_no_device_is_given_less_than_a_token():
    """Over a hundred times as many devices as there are tokens some have to be left over."""
    few = Video(17, 96, 80, 20)
    tokens = work_of(SMALL, few).tokens
    plan = make_plan(SMALL, few, machine_of("h100", 100 * tokens))
    assert plan.layout.sequence <= tokens
    left = 100 * tokens - plan.layout.world
    assert left > 0 and any(f"{left:,} of {100 * tokens:,} devices are left over" in why for why in plan.reasons)
    enough = make_plan(SMALL, few, machine_of("h100", 8))
    assert enough.layout.world == 8 and not any("left over" in why for why in enough.reasons)


def test_weights_leave_the_device_before_they_are_rounded():
    """40 GB resident; a 24 GB device keeps them on the host, an 18 GB one has to round them too."""
    roomy = replace(machine_of("l40", 2), memory_gb=24)
    plan = make_plan(LARGE, LONG, roomy)
    assert plan.memory.offload or plan.memory.sharded
    assert not plan.memory.fp8
    assert max(plan.peaks_gb.values()) <= 24
    assert any("Resident as a whole" in reason for reason in plan.reasons)


def test_a_plan_without_tensor_parallelism_can_be_asked_for():
    assert make_plan(LARGE, LONG, machine_of("h100", 8), tensor=False).layout.tensor == 1


def test_each_way_to_save_memory_saves_some():
    layout, whole = MeshShape(ulysses=2), peaks_of(LARGE, LONG, MeshShape(ulysses=2), Memory())
    for memory in (Memory(sharded=True), Memory(offload=True), Memory(fp8=True)):
        assert peaks_of(LARGE, LONG, layout, memory)["denoise"] < whole["denoise"]
    assert peaks_of(LARGE, LONG, layout, Memory(strips=4))["decode"] < whole["decode"]
    assert (
        peaks_of(LARGE, LONG, MeshShape(tensor=2), Memory())["denoise"]
        < peaks_of(LARGE, LONG, MeshShape(), Memory())["denoise"]
    )


def test_a_calibrated_cache_shortens_the_steps_and_not_the_decoding():
    plain = make_plan(SMALL, SHORT, machine_of("h100", 1))
    cached = make_plan(SMALL, replace(SHORT, saved=0.4), machine_of("h100", 1))
    assert cached.times.total == pytest.approx(0.6 * 50 * plain.times.step + plain.times.decode)
    assert any("40 % of the operations" in reason for reason in cached.reasons)


def test_tokens_are_those_that_the_transformer_reads_of_a_vae_with_patches_of_its_own():
    video = LatentVideo.load(SHIPPED.with_name("tiny-video"))
    latents = video.encode(np.zeros((17, 96, 64, 3), np.uint8))
    assert latent_grid(video.vae.config, Video(17, 64, 96, 20)) == latents.shape[2:]
    assert work_of(model_of(video.bundle, "single"), Video(17, 64, 96, 20)).tokens == 5 * 6 * 4
    assert video.dit._token_count(latents.shape) == 5 * 6 * 4


# --- what cannot be ---


def test_what_cannot_fit_is_refused_with_what_would():
    machine = replace(machine_of("l40", 1), memory_gb=8)
    with pytest.raises(CannotFit) as refused:
        make_plan(LARGE, LONG, machine)
    said = str(refused.value)
    frames, width, height, devices, memory = (
        int(found)
        for found in re.search(
            r"(\d+) frames of the same size; 121 frames of (\d+)x(\d+); (\d+) such devices; devices of (\d+) GB",
            said,
        ).groups()
    )
    for model_fits in (
        (replace(LONG, frames=frames), machine),
        (replace(LONG, width=width, height=height), machine),
        (LONG, replace(machine, devices=devices)),
        (LONG, replace(machine, memory_gb=memory)),
    ):
        make_plan(LARGE, *model_fits)
    with pytest.raises(CannotFit):
        make_plan(LARGE, replace(LONG, frames=frames + 4), machine)


def test_fewer_videos_at_once_come_first_among_what_would_fit():
    machine, many = machine_of("h100", 2), replace(SHORT, videos=1_000_000)
    with pytest.raises(CannotFit, match="cannot make 1,000,000 videos of 81 frames") as refused:
        make_plan(SMALL, many, machine)
    fewer = int(re.search(r"What would fit: (\d+) videos at once; ", str(refused.value))[1])
    make_plan(SMALL, replace(SHORT, videos=fewer), machine)
    with pytest.raises(CannotFit):
        make_plan(SMALL, replace(SHORT, videos=fewer + 1), machine)
    with pytest.raises(CannotFit, match="What would fit: 1 video at once; "):
        make_plan(LARGE, replace(LONG, videos=2), replace(machine_of("l40", 1), memory_gb=24))


def test_what_would_fit_of_a_very_long_video_is_found_by_few_tries(monkeypatch):
    tried = []
    monkeypatch.setattr(planner, "least_gb", lambda *asked: tried.append(asked) or least_gb(*asked))
    with pytest.raises(CannotFit, match=r"What would fit: \d+ frames of the same size; ") as refused:
        make_plan(LARGE, replace(SHORT, frames=1_000_001), machine_of("h100", 1))
    frames = int(re.search(r"(\d+) frames of the same", str(refused.value))[1])
    assert frames % 4 == 1 and len(tried) < 40
    make_plan(LARGE, replace(SHORT, frames=frames), machine_of("h100", 1))


def test_an_unknown_machine_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"no machine 'abacus'. There are: h100, .*l40"):
        machine_of("abacus", 1)


# --- predictions ---


def test_predictions_are_within_the_goal_on_the_named_tables():
    rows = figures.rows(reduced=True)
    assert [row["met"] for row in rows] == [True] * len(rows)
    assert sum(one.named for one in figures.predictions()) == 19


def test_constants_come_from_one_device_only(monkeypatch):
    """Whatever the rows of several devices say, the constants stay; what one device says moves them."""
    before, changed = dict(timing.fitted_shares()), copy.deepcopy(timing.published())
    for table in changed["tables"]:
        table["rows"] = [[*row[:2], row[2] * 3, row[3]] if row[3] else row for row in table["rows"]]
    monkeypatch.setattr(timing, "published", lambda: changed)
    timing.fitted_shares.cache_clear()
    assert dict(timing.fitted_shares()) == before
    changed["tables"][0]["rows"][0][2] *= 2
    timing.fitted_shares.cache_clear()
    assert timing.fitted_shares()["h100"] < before["h100"]
    timing.fitted_shares.cache_clear()


def test_a_machine_that_is_left_out_has_the_share_of_the_others():
    assert "h20" not in timing.fitted_shares("h20")
    assert machine_of("h20", 1, without="h20").share == pytest.approx(timing.mean_share("h20"))
    assert machine_of("h20", 1).share != pytest.approx(timing.mean_share("h20"))


def test_predictions_of_a_wrong_model_miss_the_goal(monkeypatch):
    """The control: as if all that is sent went through a hundredth of the link."""
    changed = copy.deepcopy(timing.published())
    for sheet in changed["machines"].values():
        sheet["link_gb_s"] /= 100
    monkeypatch.setattr(timing, "published", lambda: changed)
    assert figures.median(one.error for one in figures.predictions() if one.named) > figures.GOAL


def test_every_figure_has_its_source():
    published = timing.published()
    sources = [entry["source"] for entry in (*published["machines"].values(), *published["tables"])]
    assert all(source.startswith("https://") for source in sources)
