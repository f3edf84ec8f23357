"""A cache changes what it says and nothing else: off it is not there, over a mesh it is what it is on one process."""

from __future__ import annotations

import math

import pytest
import torch

from engine.bundles import BundleError, write_bundle
from engine.cache.apply import Cache, relative_change
from engine.cache.budget import FILE, Calibration, Setting, load, psnr_of
from engine.cache.bundled import BundledCache
from engine.cache.calibrate import calibrate, recorded
from engine.cache.policies import Compute, Exact, FirstBlock, Guidance, Magnitude, Taylor
from engine.parallel.mesh import MeshShape
from engine.parallel.sequence import PLANS, SequencePlan
from engine.samplers import euler, guided, shifted_times
from tests.engine.cache import cases
from tests.engine.parallel.cases import inputs_of, model_of
from tests.engine.parallel.test_parallel import named

CACHES = [name for name in cases.POLICIES if name != "exact"]
PAIRS = [MeshShape(ulysses=2), MeshShape(ring=2), MeshShape(cfg=2), MeshShape(data=2)]
EXACT = 1e-10


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- one process ---


@pytest.mark.parametrize("length", ["odd", "packed"])
@pytest.mark.parametrize("model", ["single", "multimodal"])
def test_without_a_budget_not_a_bit_changes(model, length):
    calibration = Calibration((1.0,), 2.0, 1, (Setting("taylor", {"every": 2}, 0.1, 0.1, 0.5, 0.0),))
    assert isinstance(calibration.policy(0), Exact)
    assert cases.apart(cases.denoised(None, model, length), cases.denoised("exact", model, length)) == 0


@pytest.mark.parametrize(
    "policy",
    [FirstBlock(0.0), Magnitude([1.0, 1.1, 1.1, 1.1, 1.1, 1.1], 0.0), Taylor(1), Guidance(1)],
    ids=lambda p: type(p).__name__,
)
def test_no_more_does_any_policy_at_its_zero(policy, monkeypatch):
    monkeypatch.setitem(cases.POLICIES, "zero", policy)
    [made] = cases.denoised("zero", "single")
    assert made.computed == [Compute.ALL] * cases.STEPS
    assert cases.apart(cases.denoised(None, "single"), [made]) == 0


@pytest.mark.parametrize("policy", CACHES)
@pytest.mark.parametrize("model", ["single", "multimodal"])
def test_a_policy_hits_and_misses_and_changes_the_result(policy, model):
    [made] = cases.denoised(policy, model)
    assert 0 < made.computed.count(Compute.ALL) < cases.STEPS
    assert cases.apart(cases.denoised(None, model), [made]) > 1e-6


class Line(torch.nn.Module):
    """A velocity that is linear in time."""

    def forward(self, x, time):
        return torch.full_like(x, 3.0) - 2 * time


def test_taylor_continues_a_line_exactly_at_uneven_steps_and_one_value_does_not():
    times, model = shifted_times(6, 3.0)[:-1], Line()
    with torch.no_grad(), Cache(model, Taylor(3)) as cache, cache.request(times.tolist()) as report:
        made = [float(model(torch.zeros(2, 3), time)[0, 0]) for time in times]
    wanted = [3.0 - 2 * float(time) for time in times]
    assert made[4:] == pytest.approx(wanted[4:], abs=1e-5)
    assert made[1] != pytest.approx(wanted[1], abs=1e-2)
    assert (report.hits, report.misses, report.work, report.saved(10.0)) == (4, 2, pytest.approx(1 / 3), 40.0)


class Twice(torch.nn.Module):
    def forward(self, x):
        return 2 * x


class OneBlock(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.ModuleList([Twice()])

    def forward(self, x):
        return self.blocks[0](x)


def test_in_float16_what_is_summed_over_many_tokens_is_a_number(monkeypatch):
    before, model = torch.full((1, 4000, 64), 0.5, dtype=torch.float16), OneBlock()
    assert before.abs().sum().isinf()  # in its own type it is none
    assert relative_change(1.4 * before, before) == pytest.approx(0.4, rel=1e-2)
    monkeypatch.setitem(PLANS, OneBlock, SequencePlan(("blocks",), {}, {}))
    with recorded(model) as record:
        model(40 * before)
    assert record.magnitudes == [4000 * 20 * 8]


@pytest.mark.parametrize("policy", CACHES)
def test_each_request_begins_anew(policy):
    one, two = cases.denoised(policy, requests=2)
    [alone] = cases.denoised(policy, requests=1)
    assert cases.apart([alone], [one]) == 0
    assert one.computed[0] == two.computed[0] == Compute.ALL


def test_state_that_outlives_its_request_is_found():
    cases.kept.clear()
    right, wrong = (cases.denoised("taylor", requests=2, fault=fault) for fault in (None, "stale state"))
    assert cases.apart(right[:1], wrong[:1]) == 0
    assert cases.apart(right[1:], wrong[1:]) > 1e-6


# --- several ranks ---


def assert_alike(answers, policy="", shape=None):
    """Equal results and decisions, with a hit and a miss; halves of guidance on two ranks leave guidance no hit."""
    assert max(error for error, _ in answers) <= EXACT, answers
    assert all(decisions == answers[0][1] for _, decisions in answers)
    hits = {step for request in answers[0][1] for step in request}
    none_spared = policy.startswith("guidance") and shape.cfg * shape.data > 1
    assert (Compute.ALL in hits, len(hits) > 1) == (True, not none_spared)


@pytest.mark.parametrize(
    ("shape", "policy"),
    [
        *((shape, "first-block") for shape in PAIRS),
        *((shape, "schedule") for shape in PAIRS),
        (MeshShape(ulysses=2), "guidance"),
        (MeshShape(cfg=2), "guidance"),
        (MeshShape(ring=2), "magnitude"),
        (MeshShape(data=2), "taylor"),
    ],
    ids=named,
)
def test_over_a_mesh_a_cache_is_what_it_is_alone(ranks, shape, policy):
    assert_alike(ranks(2).run(cases.parity, policy, "single", "odd", shape), policy, shape)


@pytest.mark.parametrize(("policy", "length"), [("first-block", "odd"), ("schedule", "packed"), ("magnitude", "tiny")])
def test_so_it_is_in_two_streams_packed_and_with_ranks_left_empty(ranks, policy, length):
    assert_alike(ranks(4).run(cases.parity, policy, "multimodal", length, MeshShape(ring=2, ulysses=2)))


def test_cache_and_mesh_may_be_applied_in_either_order(ranks):
    shape = MeshShape(cfg=2, ulysses=2)
    assert_alike(ranks(4).run(cases.parity, "first-block", "multimodal", "odd", shape, cache_first=True))


@pytest.mark.full
@pytest.mark.parametrize("length", ["odd", "even", "tiny", "packed"])
@pytest.mark.parametrize("model", ["single", "multimodal"])
@pytest.mark.parametrize("policy", CACHES)
@pytest.mark.parametrize("shape", [*PAIRS, MeshShape(ring=2, ulysses=2), MeshShape(cfg=2, ulysses=2)], ids=named)
def test_the_whole_matrix(ranks, shape, policy, model, length):
    assert_alike(ranks(shape.world).run(cases.parity, policy, model, length, shape), policy, shape)


def test_a_rank_that_decides_alone_is_found(ranks):
    """Over rows: over a sequence ranks that disagree would wait for each other for ever."""
    shape = MeshShape(data=2)
    answers = ranks(2).run(cases.parity, "first-block", "single", "odd", shape, fault="a rank decides alone")
    assert answers[0][1] != answers[1][1]


def test_several_ranks_without_their_mesh_are_refused(ranks):
    assert all("give the cache the mesh" in said for said in ranks(2).run(cases.refused_without_a_mesh))


# --- calibration ---


@pytest.fixture(scope="module")
def model():
    return model_of("single", torch.float64)


def samples_of(model, count, steps=cases.STEPS, first=0):
    """Requests that differ in their noise."""

    def sample(number):
        inputs = inputs_of("odd", 2, torch.float64)
        noise = torch.randn(1, *inputs["latents"].shape[1:], generator=torch.Generator().manual_seed(number)).double()
        inputs["condition"] = inputs["condition"][:1].expand(2, -1, -1, -1, -1)

        def velocity(x, time):
            made = model(**(inputs | {"latents": x.expand(2, -1, -1, -1, -1), "time_B": time.expand(2)}))
            return guided(made[:1], made[1:], cases.SCALE)

        *_, (x, _) = euler(velocity, noise, shifted_times(steps).double())
        return x

    return [lambda number=number: sample(number) for number in range(first, first + count)]


@pytest.fixture(scope="module")
def calibration(model):
    return calibrate(model, samples_of(model, 2), shifted_times(cases.STEPS).tolist(), cases.SCALE)


def test_calibration_keeps_every_policy_and_survives_its_file(calibration, tmp_path):
    assert {s.policy for s in calibration.settings} == {"schedule", "taylor", "guidance", "first-block", "magnitude"}
    calibration.save(tmp_path / "cache.json")
    assert load(tmp_path / "cache.json") == calibration
    assert (tmp_path / "cache.json").stat().st_size < 60_000


def test_a_budget_is_kept_on_requests_that_were_not_calibrated_on(model, calibration):
    """The cheapest setting within it; a smaller budget computes more, and a schedule is the best there is."""
    errors, works = [], []
    for budget in (0.003, 0.03):
        policy = calibration.policy(budget)
        setting = calibration.setting(budget)
        work = 0.0
        for sample in samples_of(model, 2, first=50):
            with torch.no_grad():
                exact = sample()
                with Cache(model, policy) as cache, cache.request(calibration.times) as report:
                    errors.append(float((sample() - exact).norm() / exact.norm()) / budget)
            work += report.work
        works.append(work)
        assert setting.error <= budget
    assert max(errors) < 2
    assert works[0] > works[1]


def test_fitted_schedules_are_nearer_than_published_policies_at_the_same_work(calibration):
    def least(policies, work):
        return min((s.error for s in calibration.settings if s.policy in policies and s.work <= work), default=math.inf)

    assert least(["schedule"], 0.76) < least(["taylor", "guidance", "magnitude", "first-block"], 0.76)


@pytest.mark.parametrize("budget", [-0.1, math.inf, math.nan])
def test_a_budget_is_a_share(calibration, budget):
    with pytest.raises(ValueError, match="from 0 on"):
        calibration.policy(budget)


def test_a_relative_error_in_decibels():
    assert (psnr_of(0), psnr_of(4), psnr_of(0.04)) == (math.inf, 0, pytest.approx(40))


# --- what is refused ---


def test_a_cache_refuses_gradients_and_calls_that_no_request_announced(model):
    inputs = inputs_of("odd", 2, torch.float64)
    with Cache(model, Taylor(2)) as cache:
        with cache.request([1.0]), pytest.raises(ValueError, match="inference only"):
            model(**inputs)
        with torch.no_grad():
            with pytest.raises(ValueError, match="Call the model within"):
                model(**inputs)
            with cache.request([1.0]), pytest.raises(ValueError, match="once for each"):
                model(**inputs)
                model(**inputs)
    assert "forward" not in vars(model)


@pytest.mark.parametrize(
    ("policy", "arguments"),
    [("teacache", {}), ("taylor", {"often": 2}), ("schedule", {"steps": ["sometimes"]}), ("schedule", {})],
)
def test_a_calibration_that_no_policy_can_be_built_of_is_told_before_any_request(tmp_path, policy, arguments):
    Calibration((1.0, 0.5), 2.0, 1, (Setting(policy, arguments, 0.01, 0.01, 0.5, 0.0),)).save(tmp_path / FILE)
    about = {"kinds": ("text_to_video",), "capabilities": {}, "provenance": {}}
    bundle = write_bundle(tmp_path, name="odd", version="1", **about)
    with pytest.raises(BundleError, match=r"odd cannot be used: cache\.json is not what its manifest says"):
        BundledCache(bundle, 0.05)
    BundledCache(bundle, 0.001)  # the control: within this budget it is not chosen


def test_policies_refuse_what_they_were_not_calibrated_for(model):
    with pytest.raises(ValueError, match="not known"):
        Cache(Line(), FirstBlock(0.1))
    for policy in (cases.POLICIES["schedule"], cases.POLICIES["magnitude"]):
        with pytest.raises(ValueError, match="for 6 steps, not 5"):
            policy.start(5)
    with torch.no_grad(), Cache(model, Guidance(2)) as cache, cache.request([1.0, 0.5]):
        inputs = inputs_of("odd", 3, torch.float64)
        model(**inputs)
        with pytest.raises(ValueError, match="as many asked as unasked"):
            model(**inputs)
