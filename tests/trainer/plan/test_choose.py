"""Plans: what is chosen and why, what is refused and with which words."""

import json
import re
from dataclasses import fields, replace

import pytest

from engine.planner import CannotFit
from tests.trainer.plan.cases import H200, HUGE, LARGE, SMALL, by_hand, job_of
from trainer.parallel.layout import Layout
from trainer.plan import command
from trainer.plan.choose import candidates, make_plan
from trainer.plan.devices import gpu_of
from trainer.plan.memory import POLICIES, States, need, table
from trainer.plan.mesh import Mesh, meshes
from trainer.plan.timing import predict

STATES = States()


def test_presets_have_the_parameters_that_they_are_named_for():
    assert [round(config.parameters / 1e9, 1) for config in (SMALL, LARGE, HUGE)] == [2.0, 13.4, 299.5]


@pytest.mark.parametrize("devices", [8, 96, 1024])
def test_every_mesh_uses_all_devices_and_parts_evenly(devices):
    job = job_of(LARGE, batch=96)
    found = list(meshes(devices, job.config, job.batch, node=8))
    assert {mesh.world for mesh in found} == {devices}
    assert len(set(found)) == len(found) > 8
    assert all(job.batch % mesh.data == 0 and mesh.tensor * mesh.ulysses <= 8 for mesh in found)


def test_one_device_with_room_needs_no_mesh():
    plan = make_plan(by_hand(), H200, 1, STATES)
    assert plan.best.mesh == Mesh()
    assert plan.best.memory.policy == "none"
    assert plan.next_best is None


@pytest.mark.parametrize(
    ("config", "gpu", "devices"), [(SMALL, "h200", 64), (LARGE, "h200", 512), (HUGE, "h200", 1024)]
)
def test_the_best_fits_and_no_other_that_fits_is_much_faster(config, gpu, devices):
    job, sheet = job_of(config), gpu_of(gpu)
    plan = make_plan(job, sheet, devices, STATES)
    assert plan.best.need.total <= sheet.memory_gb
    every = list(candidates(job, sheet, devices, STATES))
    assert plan.best.step.seconds <= 1.02 * min(one.step.seconds for one in every)
    assert plan.next_best is not None and any("Next best" in reason for reason in plan.reasons)
    assert plan.best.step.mfu > 0.3
    assert plan.best.step.hfu <= sheet.share * 1.0001


def test_each_policy_needs_less_than_the_one_before():
    job = job_of(LARGE)
    totals = [room.total for room in table(job, Mesh(shard=16, ulysses=8), 1, STATES).values()]
    assert totals == sorted(totals, reverse=True)
    assert len(set(totals)) == len(POLICIES)


def test_what_memory_is_asked_for_is_less_with_8_bits_and_without_ema():
    job, mesh = job_of(LARGE), Mesh(shard=8, ulysses=8)
    whole = need(job, mesh, 1, "full", STATES)
    small = need(job, mesh, 1, "full", States("adamw8bit", ema=False))
    assert small.optimiser < whole.optimiser / 3
    assert small.ema == 0 < whole.ema
    assert whole.parameters == pytest.approx(4 * job.parameters / 64 / 1e9)


def test_a_device_with_little_memory_computes_again():
    tight = replace(H200, memory_gb=40)
    plan = make_plan(job_of(LARGE), tight, 64, STATES)
    assert plan.best.need.total <= 40
    assert plan.best.memory.policy in POLICIES[1:]
    assert any("Checkpointing is" in reason for reason in plan.reasons)


def test_what_cannot_fit_is_refused_with_what_would():
    job, gpu = job_of(HUGE), gpu_of("h100")
    with pytest.raises(CannotFit, match=r"299.5 B parameters .* cannot be trained on 8 x h100 \(80 GB\)") as refused:
        make_plan(job, gpu, 8, STATES)
    devices, memory = (
        int(n) for n in re.search(r"(\d+) such devices; devices of (\d+) GB", str(refused.value)).groups()
    )
    make_plan(job, gpu, devices, STATES)
    make_plan(job, replace(gpu, memory_gb=memory), 8, STATES)
    with pytest.raises(CannotFit):
        make_plan(job, gpu, devices // 2, STATES)


def test_a_batch_that_no_mesh_parts_is_refused():
    with pytest.raises(CannotFit, match="No mesh of 17 devices parts a batch of 8 samples, 8 heads and 4 blocks"):
        make_plan(by_hand(), H200, 17, STATES)


# --- times, by hand ---


def test_one_device_takes_its_operations_over_its_share_of_the_peak():
    job = by_hand(batch=6)
    step = predict(job, Mesh(), command.Memory("full"), H200)
    flops = job.flops("full")
    assert step.seconds == pytest.approx(6 * flops.hardware / (989.4e12 * 0.4))
    assert step.mfu == pytest.approx(0.4 * flops.model / flops.hardware)
    assert step.hfu == pytest.approx(0.4)


def test_a_pipe_waits_for_its_ends():
    """Eight micro-batches through four stages: eleven turns instead of eight."""
    job = by_hand(batch=8)
    step = predict(job, Mesh(pipe=4), command.Memory(), replace(H200, link_gb_s=1e9, network_gb_s=1e9))
    assert step.bubble / step.seconds == pytest.approx(3 / 11, rel=1e-3)


def test_what_a_step_sends_is_what_its_axes_send():
    """64 of width, 128 tokens, bf16: 4 blocks with 2 attentions and a feed-forward each."""
    job = by_hand(batch=1)
    assert job.batch == 1
    stream = 128 * 64 * 2
    tensor = predict(job, Mesh(tensor=2), command.Memory(), H200).sent["tensor"]
    assert tensor == 4 * 3 * stream * 2  # summed in the forward and in the backward
    again = predict(job, Mesh(tensor=2), command.Memory("full"), H200).sent["tensor"]
    assert again == tensor * 3 / 2
    ulysses = predict(job, Mesh(ulysses=2), command.Memory(), H200).sent["ulysses"]
    assert ulysses == 4 * 4 * stream / 2 / 2 * 2  # q, k, v and the output of self-attention, but the own half
    sharded = predict(by_hand(batch=2), Mesh(shard=2), command.Memory(), H200).sent["shard"]
    assert sharded == job.parameters / 2 * (2 * 2 + 4)  # gathered twice in bf16, summed once in fp32


def test_a_slow_link_makes_exchanges_visible():
    job, mesh = job_of(LARGE, batch=64), Mesh(shard=8, ulysses=8)
    fast = predict(job, mesh, command.Memory("full"), H200)
    slow = predict(job, mesh, command.Memory("full"), replace(H200, link_gb_s=4.5))
    assert slow.waiting["ulysses"] == pytest.approx(100 * fast.waiting["ulysses"])
    assert slow.mfu < fast.mfu


# --- the command ---


def test_the_command_tells_all_of_it_as_json(capsys):
    assert command.main(["multimodal_dit_13b", "--gpus", "4096", "--gpu", "h200", "--tokens", "1e12", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert plan["gpus"] == 4096
    assert plan["days"] == pytest.approx(1e12 / (plan["tokens"] * plan["batch"]) * plan["step"]["seconds"] / 86400)
    assert plan["days_with_failures"] > plan["days"]
    assert set(plan["memory"]["policies"]) == set(POLICIES)
    axes, memory = plan["mesh"]["axes"], plan["memory"]
    assert memory["microbatches"] * memory["micro"] * axes["replicate"] * axes["shard"] == plan["batch"]


def test_the_command_prints_what_it_found(capsys):
    assert command.main(["single_dit_2b", "--gpus", "64", "--published", "--failures"]) == 0
    said = capsys.readouterr().out
    for words in ("GB a device", "MFU", "days", "Next best", "not comparable", "Step-Video-T2V 30B", "10,000"):
        assert words in said


def test_a_mesh_can_be_asked_for(capsys):
    asked = ["multimodal_dit_13b", "--gpus", "512", "--json", "--mesh"]
    assert command.main([*asked, "shard=16,ulysses=8,tensor=2,pipe=2"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["step"]["bubble"] > 0
    assert command.main([*asked, "shard=16"]) == 2
    assert "16 devices" in capsys.readouterr().err
    assert command.main([*asked, "sharp=16"]) == 2
    assert "with axes of replicate, shard, pipe" in capsys.readouterr().err
    for mesh, said in (
        ("tensor=512", "at most the 24 heads"),
        ("shard=0", "at least one device"),
        ("pipe=512", "at most its 66 blocks"),
    ):
        assert command.main([*asked, mesh]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Which recipe? There are: single_dit_2b, multimodal_dit_13b, multimodal_dit_300b"),
        (["single_dit_2b", "--gpu", "abacus"], "no device 'abacus'. There are: h100, h200, h800"),
        (["single_dit_2b", "--stage", "8k"], "single_dit_2b has no stage '8k'. It has: 256px, 480p"),
        (["multimodal_dit_300b", "--gpus", "8"], "cannot be trained on 8 x h200"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(arguments, said, capsys):
    assert command.main(arguments) == 2
    assert said in capsys.readouterr().err


def test_the_axes_are_those_of_the_trainer():
    assert [field.name for field in fields(Mesh)] == [field.name for field in fields(Layout)]
    mesh, layout = Mesh(2, 3, 2, 2, 5, 7), Layout(2, 3, 2, 2, 5, 7)
    assert (mesh.world, mesh.data, mesh.sequence, mesh.weights) == (
        layout.world,
        layout.data,
        layout.sequence,
        layout.weights,
    )
