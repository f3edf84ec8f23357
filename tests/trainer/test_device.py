"""A run trains on the device that it is told, whole: shown on a simulated one, which refuses what lies elsewhere."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file

import trainer.distil
import trainer.dpo
import trainer.large
import trainer.lora
import trainer.nano
import trainer.tiny_video
from datapipe.shards import ShardSet
from engine import device as devices
from engine.bundles import read_bundle
from engine.device import CPU
from tests.trainer import tiny_run
from tests.trainer.simulated import NAME, simulated
from tests.trainer.tiny_bundle import write_photos
from trainer import ranks
from trainer.__main__ import main
from trainer.encode import encode
from trainer.film_shards import write_films
from trainer.films import FilmBank
from trainer.loop import Stopped, train
from trainer.objectives.video_vae import wide_layout
from trainer.recipes.single_dit_2b import single_dit_2b_smoke
from trainer.record import Record

THERE = torch.device(NAME)


@pytest.fixture(scope="module")
def home(tmp_path_factory, tiny_bundle) -> Path:
    """`bundle`, `photos`, `pairs.jsonl`, `data`: what the recipes learn from."""
    folder = tmp_path_factory.mktemp("device")
    (folder / "bundle").symlink_to(tiny_bundle)
    write_photos(folder / "photos", 5)
    pairs = [{"settings": {"prompt": "a cup", "steps": 2}, "preferred": 2 * i, "rejected": 2 * i + 1} for i in range(3)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    write_films(folder / "films", [(32, 32), (40, 24), (16, 32)], scenes=18, motions=1)
    films = ShardSet(folder / "films")
    assert encode(
        read_bundle(tiny_bundle), films, folder / "data", [stage.grids for stage in single_dit_2b_smoke().stages]
    )
    return folder


# Of each recipe the settings that name what it learns from, in `home`, and what makes it short.
RECIPES = {
    "nano_smoke": [],
    "tiny_video_smoke": [],
    "single_dit_2b_smoke": ["data={home}/data"],
    "multimodal_dit_13b_smoke": ["data={home}/data"],
    "lora": ["base={home}/bundle", "data={home}/photos", "prompt=a cup", "loop.steps=2", "frames=5"],
    "sft": ["base={home}/bundle", "data={home}/photos", "prompt=a cup", "loop.steps=2"],
    "dpo_smoke": ["base={home}/bundle", "pairs={home}/pairs.jsonl"],
    "distil_smoke": ["base={home}/bundle"],
}


CLOSE = 3e-4  # of what is logged; another draw of a batch's noise changes it by a tenth and more
# AdamW moves a weight whose gradient is but rounding by a whole step (1e-3), so some few may be anywhere.
OFF, FEW = 1e-4, 0.01  # how far a weight is off that is, and the share of a tensor that may be


def command(home: Path, recipe: str, out: Path, device: str) -> list[str]:
    settings = [word for one in RECIPES[recipe] for word in ("--set", one.format(home=home))]
    return ["run", recipe, "--out", str(out), "--device", device, *settings]


@pytest.fixture(scope="module")
def runs(home, tmp_path_factory):
    """The folder of a run of a recipe on a device, each made once, and what autocast was asked for."""
    folder, found = tmp_path_factory.mktemp("runs"), {}

    def run(recipe: str, device: str) -> tuple[Path, set[str]]:
        out = folder / f"{recipe}-{device}"
        if out not in found:
            with simulated() as asked, pytest.MonkeyPatch.context() as patched:
                # Here, and not in processes of their own, which would compute in bf16 where the processor can.
                patched.setattr("trainer.film_latents.build_chunks", here_one_after_another)
                patched.setattr("trainer.film_latents._opened", opened)
                assert main(command(home, recipe, out, device)) == 0
            found[out] = asked
        return out, found[out]

    return run


def here_one_after_another(work, tasks, *_) -> bool:
    for task in tasks:
        work(task)
    return True


def opened(bank: Path, vae: Path) -> tuple[FilmBank, AutoencoderKLWan]:
    """As a process opens them, but not by way of torch's meta device, whose name the simulated one has."""
    model = AutoencoderKLWan.from_config(AutoencoderKLWan.load_config(vae))
    model.load_state_dict(load_file(vae / "diffusion_pytorch_model.safetensors"))
    return FilmBank(bank), wide_layout(model.eval())


def checkpoints(folder: Path) -> dict[str, dict]:
    """What every stage of a run keeps, as a process that knows of no other device reads it."""
    paths = {path.parent.name: path for path in folder.rglob("checkpoint.pt")}
    return {stage: torch.load(path, weights_only=True) for stage, path in sorted(paths.items())}


def tensors(value, name="") -> dict[str, torch.Tensor]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {name: value} if isinstance(value, torch.Tensor) else {}
    return found | {key: x for part, one in parts for key, x in tensors(one, f"{name}.{part}").items()}


def strayed(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> tuple[list[str], list[str]]:
    """The weights and averages of which more than a few are off, and all of them, by name."""
    names = [name for name in theirs if name.split(".")[2] in ("net", "average")]
    off = {name: int(((ours[name] - theirs[name]).abs() > OFF).sum()) for name in names}
    return [name for name in names if off[name] > max(2, FEW * theirs[name].numel())], names


def logged(folder: Path) -> dict[str, float]:
    """Loss, norm and what else each step of each stage has noted."""
    rows = {path.parent.name: map(json.loads, path.read_text().splitlines()) for path in folder.rglob("steps.jsonl")}
    return {f"{s}.{row['step']}.{key}": value for s, some in rows.items() for row in some for key, value in row.items()}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_stage_trains_on_the_device_with_the_samples_and_the_noise_of_the_cpu(runs, recipe):
    (there, asked), (here, _) = runs(recipe, NAME), runs(recipe, "cpu")
    assert asked == {NAME}
    assert logged(there) == pytest.approx(logged(here), rel=CLOSE, abs=CLOSE) and logged(here)
    ours, theirs = tensors(checkpoints(there)), tensors(checkpoints(here))
    assert ours.keys() == theirs.keys() and all(value.device == CPU for value in ours.values())
    some, every = strayed(ours, theirs)
    assert some == [] and every
    record = json.loads((there / "record.json").read_text())
    assert (record["device"], record["environment"]["device"]) == (NAME, "simulated")


def test_what_the_device_encodes_is_what_the_cpu_encodes(runs):
    for recipe in ("nano_smoke", "tiny_video_smoke"):
        (there, _), (here, _) = runs(recipe, NAME), runs(recipe, "cpu")
        names = sorted(path.name for path in (there / "latents").glob("*.npy"))
        assert names == sorted(path.name for path in (here / "latents").glob("*.npy")) and names
        for name in names:
            ours, theirs = np.load(there / "latents" / name), np.load(here / "latents" / name)
            np.testing.assert_allclose(ours.astype(np.float32), theirs.astype(np.float32), rtol=2e-3, atol=2e-3)


def test_another_seed_is_told_apart(runs, home, tmp_path):
    """The control of the two above."""
    (here, _) = runs("single_dit_2b_smoke", "cpu")
    with simulated():
        assert main([*command(home, "single_dit_2b_smoke", tmp_path / "run", "cpu"), "--set", "loop.seed=1"]) == 0
    assert logged(tmp_path / "run") != pytest.approx(logged(here), rel=1e-2)
    some, every = strayed(tensors(checkpoints(tmp_path / "run")), tensors(checkpoints(here)))
    assert len(some) > 0.5 * len(every)


@pytest.mark.full
def test_a_student_of_a_bundle_that_moves_a_photo_learns_on_the_device(runs, tmp_path):
    (folder, _), bundle = runs("nano_smoke", "cpu"), tmp_path / "nano"
    assert main(["export", "nano_smoke", "--out", str(folder), "--bundle", str(bundle)]) == 0
    small = ["items=2", "steps=4", "points=4"]
    settings = [f"base={bundle}", "steps=4", "compared=4", *(f"trajectories.{one}" for one in small)]
    words = [word for one in settings for word in ("--set", one)]
    for device in (NAME, "cpu"):
        with simulated():
            assert main(["run", "distil_smoke", "--out", str(tmp_path / device), "--device", device, *words]) == 0
    assert logged(tmp_path / NAME) == pytest.approx(logged(tmp_path / "cpu"), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("recipe", ["nano_smoke", "tiny_video_smoke"])
def test_a_run_of_the_device_is_exported_where_there_is_none(runs, recipe, tmp_path):
    (there, _), (here, _) = runs(recipe, NAME), runs(recipe, "cpu")
    bundles = []
    for folder, name in ((there, "there"), (here, "here")):
        assert main(["export", recipe, "--out", str(folder), "--bundle", str(tmp_path / name)]) == 0
        bundles.append(read_bundle(tmp_path / name))
    ours, theirs = bundles
    names = [name for name in ours.files if name.endswith(".safetensors")]
    assert sorted(ours.files) == sorted(theirs.files) and names
    for name in names:
        found, wanted = load_file(ours.file(name)), load_file(theirs.file(name))
        assert all(torch.allclose(found[key].float(), wanted[key].float(), atol=1e-2) for key in wanted)


# Of each stage the objective, what it is called with in that module, and which of its arguments is left on the CPU.
LEFT = [
    ("nano_smoke", "motion_vae", trainer.nano, "motion_vae_loss", 1),
    ("nano_smoke", "relief", trainer.nano, "relief_loss", 2),
    ("nano_smoke", "roundness", trainer.nano, "roundness_loss", 1),
    ("nano_smoke", "roundness", trainer.nano, "roundness_loss", 2),
    ("nano_smoke", "single_dit", trainer.nano, "rectified_flow_loss", 5),
    ("nano_smoke", "single_dit", trainer.nano, "rectified_flow_loss", 6),
    ("nano_smoke", "product_mask", trainer.nano, "product_mask_loss", 2),
    ("tiny_video_smoke", "text", trainer.tiny_video, "text_facts_loss", 1),
    ("tiny_video_smoke", "video_vae", trainer.tiny_video, "principal_loss", 2),
    ("tiny_video_smoke", "video_vae", trainer.tiny_video, "video_vae_loss", 1),
    ("tiny_video_smoke", "single_dit", trainer.tiny_video, "video_flow_loss", 5),
    ("tiny_video_smoke", "multimodal_dit", trainer.tiny_video, "video_flow_loss", 7),
    ("single_dit_2b_smoke", "single_dit", trainer.large, "video_flow_error", 6),
    ("dpo_smoke", "transformer", trainer.dpo, "preference_loss", 2),
    ("lora", "adapter", trainer.lora, "flow_error", 2),
    ("distil_smoke", "guidance", trainer.distil, "guidance_loss", 4),
    ("distil_smoke", "few_steps", trainer.distil, "few_steps_loss", 1),
]


@pytest.mark.parametrize(("recipe", "stage", "module", "objective", "which"), LEFT)
def test_control_what_is_left_on_the_cpu_is_refused(
    runs, home, tmp_path, monkeypatch, recipe, stage, module, objective, which
):
    whole, _ = runs(recipe, "cpu")
    shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / stage)
    loss = getattr(module, objective)

    def forgetful(*given):
        left = given[which].to(CPU)
        return loss(*given[:which], left, *given[which + 1 :])

    monkeypatch.setattr(module, objective, forgetful)
    with simulated(), pytest.raises(RuntimeError, match="on the same device"):
        main(command(home, recipe, tmp_path / "run", NAME))


def test_a_run_goes_on_on_another_device_as_on_its_own(tmp_path):
    config = tiny_run.with_loop(checkpoints="file")
    for name, devices_ in {"whole": (CPU, CPU), "there": (CPU, THERE), "back": (THERE, CPU)}.items():
        with simulated():
            run = tiny_run.make(config, tmp_path / name, devices_[0])
            broken = replace(config, plant="nan", at=9)  # the last checkpoint is of step 8
            with pytest.raises(Stopped, match="not finite"):
                train(run, tiny_run.loss_of(broken, tmp_path / name, run))
            run = tiny_run.make(config, tmp_path / name, devices_[1])
            assert (run.step, run.device.type) == (8, devices_[1].type)
            assert {value.device.type for value in run.average.values()} == {devices_[1].type}
            assert train(run, tiny_run.loss_of(config, tmp_path / name, run))
    whole = ended(config, tmp_path / "whole")
    for name in ("there", "back"):
        found = ended(config, tmp_path / name)
        assert [key for key in whole if not torch.allclose(whole[key], found[key], rtol=CLOSE, atol=CLOSE)] == []
        assert tiny_run.samples(tmp_path / name) == tiny_run.samples(tmp_path / "whole")


def ended(config, folder: Path) -> dict[str, torch.Tensor]:
    run = tiny_run.make(config, folder)
    assert run.finished
    state = {
        "net": dict(run.net.state_dict()),
        "average": run.average,
        "optimiser": run.optimiser.state_dict()["state"],
    }
    return tensors(state)


def test_resume_goes_by_the_device_that_was_asked_for(tmp_path):
    out = tmp_path / "run"
    with simulated():
        assert main(["run", "tiny", "--out", str(out), "--device", NAME, "--minutes", "0"]) == 3
        assert main(["resume", str(out)]) == 0
        assert main(["resume", str(out), "--device", "cpu"]) == 0
    calls = json.loads((out / "record.json").read_text())["calls"]
    assert [call["environment"]["device"] for call in calls] == ["simulated", "simulated", "cpu"]


def test_a_device_that_is_not_there_is_said(tmp_path, capsys):
    for name in ("abacus", "cuda:63", "meta"):
        assert main(["run", "tiny", "--out", str(tmp_path / "run"), "--device", name]) == 2
        assert f"There is no device {name!r}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("there", "taken"), [("cuda", "cuda"), ("mps", "cpu"), (None, "cpu")])
def test_auto_takes_an_accelerator_that_computes_all_that_a_run_needs(monkeypatch, there, taken):
    found = there and torch.device(there)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: found)
    assert devices.chosen("auto").type == taken


@pytest.fixture
def two_devices(monkeypatch):
    """A machine with two, on which torchrun has started this process."""
    taken: list[int] = []
    monkeypatch.setattr(dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    monkeypatch.setattr(torch.accelerator, "set_device_index", taken.append)
    monkeypatch.setattr(ranks, "chosen", lambda name: torch.device("cuda" if name == "auto" else name))
    return taken


def test_each_rank_takes_the_device_of_its_number(two_devices, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert ranks.own_device("auto") == ranks.own_device("cuda") == torch.device("cuda", 1)
    assert two_devices == [1, 1]
    assert ranks.own_device("cpu") == CPU
    with pytest.raises(ValueError, match="ask for cuda, not for cuda:0"):
        ranks.own_device("cuda:0")


def test_more_ranks_than_devices_are_refused(two_devices, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="--nproc-per-node=2"):
        ranks.own_device("auto")
    assert two_devices == []


def test_ranks_send_by_the_backends_of_device_and_cpu():
    assert ranks.backends_of(CPU) == "gloo"
    assert ranks.backends_of(torch.device("cuda", 1)) == "cpu:gloo,cuda:nccl"


@pytest.mark.parametrize(
    ("has", "dtype"),
    [
        ((), torch.float32),
        (("_is_avx512_bf16_supported",), torch.bfloat16),
        (("_is_amx_tile_supported",), torch.bfloat16),
    ],
)
def test_a_processor_computes_in_bf16_where_it_has_instructions_for_it(monkeypatch, tmp_path, has, dtype):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda found=name in has: found)
    seen, true = [], tiny_run.loss_of

    def loss_of(*args):
        loss = true(*args)

        def watched(*batch):
            seen.append((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
            return loss(*batch)

        return watched

    monkeypatch.setattr(tiny_run, "loss_of", loss_of)
    assert tiny_run.run_tiny(tiny_run.TinyConfig(loop=replace(tiny_run.LOOP, steps=1)), tmp_path, ())
    assert seen == [dtype]
    record = Record(tmp_path)
    record.begin("tiny", tiny_run.TinyConfig(), "run")
    assert record.kept["environment"]["computes_in"] == str(dtype).removeprefix("torch.")
