"""The guard of a schedule: what strays further than anything it was calibrated on is computed from there on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from engine.cache.apply import Cache, Report
from engine.cache.budget import Setting, load
from engine.cache.calibrate import calibrate
from engine.cache.policies import ALL, Choice, Compute, Schedule
from engine.parallel.mesh import MeshShape
from engine.samplers import euler, guided, shifted_times
from tests.engine.cache import cases
from tests.engine.cache.test_cache import PAIRS, assert_alike
from tests.engine.parallel.test_parallel import named

STEPS, SCALE = 8, 2.0
TIMES = shifted_times(STEPS, 1.0)
EASY, TURNING = 0.2, 9.0
NONE = Choice(Compute.NONE, (1.0,))
CHOICES = [ALL, Choice(Compute.ASKED, (1.0, 1.0, -1.0)), NONE, NONE, ALL, NONE, NONE, NONE]
LIMITS = (0.1, 0.3)
BUDGET = 0.001


class Turning(nn.Module):
    """Rows of two numbers; the velocity goes straight until half-way and then swings aside, as fast as `turn` says."""

    def forward(self, x_BD: Tensor, time_B: Tensor, turn_B: Tensor, asked_B: Tensor) -> Tensor:
        aside_B = torch.sin(turn_B * (0.65 - time_B).clamp(min=0))
        return torch.stack([0.5 + 0.5 * asked_B, aside_B], 1)


def denoise(model: nn.Module, turns: list[float]) -> Tensor:
    """One request for each of `turns`, all in one batch: final latents [N, 2]."""
    count = len(turns)
    turn_B, asked_B = torch.tensor(turns * 2), torch.tensor([1.0] * count + [0.0] * count)

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        made = model(torch.cat([x, x]), time.expand(2 * count), turn_B, asked_B)
        return guided(made[:count], made[count:], SCALE)

    with torch.no_grad():
        *_, (x, _) = euler(velocity, torch.zeros(count, 2), TIMES)
    return x


def cached(turns: list[float], policy: Schedule) -> tuple[float, Report]:
    """How far the batch is from what it is without a cache, as a share; and what became of its steps."""
    model = Turning()
    exact = denoise(model, turns)
    with Cache(model, policy) as cache, cache.request(TIMES[:-1].tolist()) as report:
        made = denoise(model, turns)
    return float((made - exact).norm() / exact.norm()), report


def test_a_request_that_turns_half_way_is_caught_and_computed_from_there_on():
    error, report = cached([TURNING], Schedule(CHOICES, LIMITS))
    lost, unguarded = cached([TURNING], Schedule(CHOICES))  # the control

    assert error < 0.05 and lost > 0.2
    assert report.computed[4:] == [Compute.ALL] * 4 and unguarded.computed[5:] == [Compute.NONE] * 3
    assert report.summary == {"hits": 3, "misses": 5, "work": 5.5 / 8, "caught": 1}
    assert "caught" not in unguarded.summary


def test_an_easy_request_costs_what_it_costs_unguarded():
    error, report = cached([EASY], Schedule(CHOICES, LIMITS))
    same, unguarded = cached([EASY], Schedule(CHOICES))

    assert (error, report.computed) == (same, unguarded.computed)
    assert (report.caught, report.work) == (0, 2.5 / 8)


def test_of_a_batch_the_worst_request_decides_for_all():
    error, report = cached([EASY, TURNING, EASY], Schedule(CHOICES, LIMITS))
    _, easy = cached([EASY, EASY, EASY], Schedule(CHOICES, LIMITS))

    assert error < 0.05 and report.computed[4:] == [Compute.ALL] * 4
    assert (report.caught, easy.caught) == (1, 0)


def test_what_is_no_number_is_caught():
    assert cached([float("nan")], Schedule(CHOICES, LIMITS))[1].caught == 1


def test_a_request_behind_a_caught_one_begins_anew():
    model, policy = Turning(), Schedule(CHOICES, LIMITS)
    reports = []
    with Cache(model, policy) as cache:
        for turn in (TURNING, EASY, TURNING):
            with cache.request(TIMES[:-1].tolist()) as report:
                denoise(model, [turn])
            reports.append(report)

    assert [report.caught for report in reports] == [1, 0, 1]
    assert reports[1].computed == [choice.compute for choice in CHOICES]


# --- its limits ---


@pytest.fixture(scope="module")
def calibration():
    model = Turning()
    samples = [lambda turn=turn: denoise(model, [turn]) for turn in (0.1, 0.2, 0.3)]
    return calibrate(model, samples, TIMES.tolist(), SCALE, only=["schedule"])


def test_limits_are_what_the_calibration_has_seen_and_catch_what_it_has_not(calibration):
    setting = calibration.setting(BUDGET)
    unguarded = replace(setting, arguments=setting.arguments | {"limits": []})
    (error, report), (lost, _) = (cached([TURNING], s.build()) for s in (setting, unguarded))

    assert report.caught == 1 and 3 * error < lost
    assert all(cached([turn], setting.build())[1].caught == 0 for turn in (0.1, 0.2, 0.3))


def test_every_schedule_looks_at_a_request_before_it_forecasts_all_of_a_step(calibration):
    assert all(s.arguments["steps"][1].split()[0] != Compute.NONE for s in calibration.settings)
    assert min(s.work for s in calibration.settings) < 0.3


def test_limits_survive_their_file_and_a_file_without_any_is_unguarded(calibration, tmp_path):
    path = tmp_path / "cache.json"
    calibration.save(path)
    assert load(path) == calibration
    raw = json.loads(path.read_text())
    for setting in raw["settings"]:
        del setting["arguments"]["limits"]
    path.write_text(json.dumps(raw))
    policy = load(path).policy(BUDGET)

    assert cached([TURNING], policy)[1].caught is None
    assert cached([TURNING], calibration.policy(BUDGET))[1].caught == 1


def test_a_schedule_with_another_number_of_limits_is_refused():
    with pytest.raises(ValueError, match="computes in 2 steps has as many limits"):
        Setting("schedule", {"steps": ["all", "all", "none 1", "all"], "limits": [0.1]}).build()


# --- several ranks ---


@pytest.mark.parametrize("shape", PAIRS, ids=named)
def test_ranks_catch_what_one_process_catches(ranks, shape):
    answers = ranks(2).run(cases.parity, "guarded", "single", "odd", shape)
    assert_alike(answers, "guarded", shape)
    assert [steps[2:] for steps in answers[0][1]] == [["all"] * 4, ["none", "all", "none", "none"]]


def test_a_rank_that_guards_alone_is_found(ranks):
    answers = ranks(2).run(cases.parity, "guarded", "single", "odd", MeshShape(data=2), fault="a rank guards alone")
    assert answers[0][1] != answers[1][1]
