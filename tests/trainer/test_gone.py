"""Runs of nano from 0.8, whose relief told the product's roundness too, are gone on with, exported and taken from."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import trainer.nano
from engine.bundles import read_bundle
from engine.models.relief import Relief
from tests.trainer.nano_run import CONFIG, copy_of
from trainer.__main__ import main
from trainer.checkpoint import read_average
from trainer.encoders import digest_of
from trainer.export import export_nano
from trainer.nano import relief_run, run_nano

HEAD = {"relief.roundness.weight", "relief.roundness.bias"}


class Before(Relief):
    def __init__(self):
        super().__init__()
        self.roundness = nn.Conv2d(32, 1, 3, padding=1)


@pytest.fixture
def before(monkeypatch):
    """With it relief is trained as 0.8 did, but that the roundness has no say in the other weights."""
    learn = trainer.nano.relief_loss

    def loss(model, *given):
        error, parts = learn(model, *given)
        return error + 0 * sum(one.sum() for one in model.roundness.parameters()), parts

    with monkeypatch.context() as patched:
        patched.setattr(trainer.nano, "Relief", Before)
        patched.setattr(trainer.nano, "relief_loss", loss)
        yield patched


@pytest.mark.parametrize("kept", ["file", "sync"])
def test_a_relief_half_learnt_is_gone_on_with_as_if_it_had_never_told_roundness(nano_run, tmp_path, before, kept):
    folder, config = (
        copy_of(nano_run, tmp_path, "bank"),
        replace(CONFIG, relief=replace(CONFIG.relief, checkpoints=kept)),
    )
    learn, steps = trainer.nano.relief_loss, iter(range(2))

    def two(*given):
        if next(steps, None) is None:
            raise InterruptedError
        return learn(*given)

    before.setattr(trainer.nano, "relief_loss", two)
    with pytest.raises(InterruptedError):
        run_nano(config, folder, ("relief",))
    before.undo()
    assert read_average(folder / "relief").keys() >= HEAD, "the control"
    assert relief_run(config, folder).step == 2
    assert run_nano(config, folder, ("relief",))
    made, straight = read_average(folder / "relief"), read_average(nano_run / "relief")
    assert made.keys() == straight.keys()
    assert all(torch.equal(value, straight[name]) for name, value in made.items())


@pytest.mark.parametrize("kept", ["file", "sync"])
def test_a_run_whose_single_dit_noted_the_relief_with_its_roundness_is_exported(nano_run, tmp_path, before, kept):
    others = ("bank", "motion_vae", "roundness", "single_dit", "product_mask", "latents", "tokenizer.json")
    folder = copy_of(nano_run, tmp_path, *others)
    assert run_nano(replace(CONFIG, relief=replace(CONFIG.relief, checkpoints=kept)), folder, ("relief",))
    run = relief_run(CONFIG, folder)
    run.use_average()
    noted = digest_of(run.modules["relief"])
    before.undo()
    run = relief_run(CONFIG, folder)
    run.use_average()
    assert noted != digest_of(run.modules["relief"]), "the control"
    path = folder / "single_dit" / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    state["recipe"]["data"]["relief_of"] = noted
    torch.save(state, path)
    assert run_nano(CONFIG, folder, ("single_dit",))
    made = export_nano(CONFIG, folder, tmp_path / "bundle", version="0", command="test")
    assert load_file(made.file("relief.safetensors")).keys() == Relief().state_dict().keys()
    state["recipe"]["data"]["relief_of"] = "sha256:of another"
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"data\.relief_of is sha256"):
        export_nano(CONFIG, folder, tmp_path / "none", version="0", command="test")


def test_a_bundle_gets_the_relief_of_such_a_run(nano_run, tmp_path, before):
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    assert main(["run", "nano_smoke", "--out", str(run), "--stage", "bank", "--stage", "relief"]) == 0
    before.undo()
    export_nano(CONFIG, nano_run, bundle, version="0", command="test")
    asked = ["--out", str(bundle), "--relief", str(run), "--bundle", str(tmp_path / "made")]
    assert main(["export", "nano_smoke", *asked]) == 0
    assert read_bundle(tmp_path / "made").provenance["stages"]["relief"]["steps"] == CONFIG.relief.steps
