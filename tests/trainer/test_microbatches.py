"""A step of a large recipe is cut so that no bucket needs more memory than the plan tells of its stage, and learns the
same however it is cut.
"""

from contextlib import nullcontext
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel

from datapipe.shards import ShardSet, ShardWriter
from engine.bundles import read_bundle
from engine.costs import token_count
from trainer import large, loop
from trainer.axes import Axes
from trainer.encode import encode
from trainer.log import Log
from trainer.microbatches import microbatches
from trainer.plan.job import Job
from trainer.plan.memory import POLICIES, States, need
from trainer.plan.mesh import Mesh
from trainer.recipes.large import Stage
from trainer.recipes.multimodal_dit_13b import multimodal_dit_13b
from trainer.recipes.single_dit_2b import single_dit_2b, single_dit_2b_smoke

# --- the real sizes, by the plan's own count ---

RANKS = 64
STAGES = [(config, stage) for config in (single_dit_2b(), multimodal_dit_13b()) for stage in config.stages]


def film_by_film(config, stage):
    """As a plan of 64 data ranks with one sample at a time says it."""
    loop = replace(config.loop, microbatches=stage.batch // RANKS)
    return replace(config, layout=Axes(shard=RANKS), loop=loop)


def over_the_plan(config, stage, cut, policy="none"):
    """Of each bucket its activations over those that the plan tells."""
    mesh, states, rows = Mesh(shard=RANKS), States(), large.rows_of(config)[stage.name]
    told = need(config.job(stage), mesh, 1, policy, states).activations
    found = {}
    for grid, count in rows.items():
        job = Job(config.model, token_count(config.model, *grid), config.text_tokens, count)
        found[grid] = need(job, mesh, ceil(count / RANKS / cut[grid]), policy, states).activations / told
    return found


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("config", "stage"), STAGES, ids=lambda one: one.name)
def test_no_bucket_needs_more_than_the_plan_tells(config, stage, policy):
    recompute = "full" if policy == "offload" else policy
    config = replace(config, memory=replace(config.memory, recompute=recompute, offload=policy == "offload"))
    config = film_by_film(config, stage)
    rows = large.rows_of(config)[stage.name]
    found = over_the_plan(config, stage, microbatches(config, stage, rows, RANKS), policy)
    assert max(found.values()) <= 1
    assert min(found.values()) > 0.8, "nor is it cut finer than it has to be"


def test_control_cut_as_often_as_films_photos_need_several_times_as_much():
    config, stage = STAGES[-1]
    config = film_by_film(config, stage)
    alike = dict.fromkeys(stage.grids, config.loop.microbatches)
    assert over_the_plan(config, stage, alike)[1, 90, 160] > 5


def test_a_plan_counts_the_largest_sample_of_a_stage():
    config, stage = STAGES[-1]
    tokens = {grid: token_count(config.model, *grid) for grid in stage.grids}
    assert config.job(stage).largest == max(tokens.values()) > tokens[stage.grid] == config.job(stage).tokens


# --- a run ---


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_bundle):
    """Films and photos, as many as fill a batch each."""
    folder, rng = tmp_path_factory.mktemp("mixed"), np.random.default_rng(0)
    stage = Stage("128px", (5, 16, 16), 4, 24, ((1, 16, 16),))
    with ShardWriter(folder / "films", {}) as shards:
        for frames in (*[17] * 4, *[1] * 38):
            shards.add({"frames": rng.integers(0, 256, (frames, 128, 128, 3), np.uint8)}, {"captions": ["a cup"]})
        shards.finish()
    assert encode(read_bundle(tiny_bundle), ShardSet(folder / "films"), folder / "data", [stage.grids])
    return replace(single_dit_2b_smoke(), stages=(stage,), text_tokens=4, data=str(folder / "data"))


def learnt(config, folder: Path, monkeypatch) -> tuple[dict[int, int], list[float]]:
    """The most bytes that a microbatch of films (5 latent frames) and of photos (1) has held for its backward, and the
    losses.
    """
    flow_loss, most = large.flow_loss, {}

    def noted(dit, samples, *rest):
        weights = {parameter.untyped_storage()._cdata for parameter in dit.parameters()}
        held: dict[int, int] = {}

        def keep(x: torch.Tensor) -> torch.Tensor:
            storage = x.untyped_storage()
            held[storage._cdata] = 0 if storage._cdata in weights else storage.nbytes()
            return x

        # As accelerators have attention: a kernel that keeps no scores.
        with saved_tensors_hooks(keep, lambda x: x), sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            made = flow_loss(dit, samples, *rest)
        frames = samples[0].values["latents"].shape[1]
        most[frames] = max(most.get(frames, 0), sum(held.values()))
        return made

    with monkeypatch.context() as patched:
        patched.setattr(large, "flow_loss", noted)
        # In float32: bf16 rounds by more than what is told apart.
        patched.setattr(loop, "kernels", lambda device: nullcontext())
        assert large.run_large(config, folder)
    return most, [row["loss"] for row in Log(folder / config.part / "steps.jsonl").rows()]


def test_a_step_of_photos_holds_no_more_than_one_of_films_and_learns_the_same(config, tmp_path, monkeypatch):
    held, losses = learnt(config, tmp_path / "run", monkeypatch)
    assert held[1] <= 1.05 * held[5]
    monkeypatch.setattr(large, "microbatches", lambda config, stage, rows, data: dict.fromkeys(rows, 1))
    whole, same = learnt(config, tmp_path / "whole", monkeypatch)
    assert whole[1] > 1.5 * whole[5], "the control"
    assert losses == pytest.approx(same, rel=1e-4)


def test_microbatches_that_do_not_divide_a_batch_are_weighed_by_their_rows(config, tmp_path, monkeypatch):
    uneven = replace(config, loop=replace(config.loop, microbatches=3))
    _, wanted = learnt(config, tmp_path / "whole", monkeypatch)
    _, found = learnt(uneven, tmp_path / "uneven", monkeypatch)
    assert found == pytest.approx(wanted, rel=1e-4)

    class Alike(loop._Part):
        items = property(lambda self: 1.0, lambda self, value: None)

    monkeypatch.setattr(loop, "_Part", Alike)
    _, wrong = learnt(uneven, tmp_path / "wrong", monkeypatch)
    assert wrong != pytest.approx(wanted, rel=1e-4), "the control: a mean of means"


def test_more_microbatches_than_samples_are_refused_before_a_step(config, tmp_path):
    """Also where only a later stage has too few."""
    first = replace(config.stages[0], name="first", batch=8)
    finer = replace(config, stages=(first, *config.stages), loop=replace(config.loop, microbatches=6))
    with pytest.raises(ValueError, match=r"128px takes 4 samples of 5x16x16 a step, .* 1 data ranks x 6 microb"):
        large.run_large(finer, tmp_path)
    assert list(tmp_path.iterdir()) == []
