"""What is refused, and what offloading leaves behind. That it is exact: tests/engine/parallel/test_shard.py."""

import pytest
import torch
from torch import nn

from engine.memory.offload import Disk, Offload
from engine.models.single_dit import SingleDiT


def tiny():
    return SingleDiT(hidden=32, heads=2, rope_axes=(8, 4, 4), text_dim=6, in_channels=2, depth=3)


def test_weights_that_are_where_they_compute_need_a_folder():
    with pytest.raises(ValueError, match="Give a folder"):
        Offload(tiny(), "cpu")


def test_a_model_without_blocks_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Linear has no list of blocks"):
        Offload(nn.Linear(2, 2), "cpu", tmp_path)


def test_when_a_block_fails_its_weights_go_all_the_same_and_the_model_can_be_had_back(tmp_path):
    model = tiny()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    text, mask = torch.zeros(1, 3, 6), torch.ones(1, 3, dtype=torch.bool)
    with Offload(model, "cpu", tmp_path), torch.inference_mode():
        fault = model.blocks[1].mlp.register_forward_pre_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model(torch.zeros(1, 2, 2, 2, 2), torch.zeros(1), text, mask)
        fault.remove()
        assert model.blocks[1].mlp[0].weight.isnan().all()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not list(tmp_path.iterdir())


def test_read_outside_its_block_a_weight_is_no_number(tmp_path):
    model = tiny()
    with Offload(model, "cpu", tmp_path):
        weight = model.blocks[1].mlp[0].weight
        assert weight.isnan().all()
        assert weight.shape == (128, 32)
        assert weight.untyped_storage().nbytes() == 4


def test_two_models_may_be_kept_in_one_folder(tmp_path):
    torch.manual_seed(0)
    models = [tiny(), tiny()]
    wanted = [{name: value.clone() for name, value in model.state_dict().items()} for model in models]
    with Offload(models[0], "cpu", tmp_path), Offload(models[1], "cpu", tmp_path):
        assert len(list(tmp_path.iterdir())) == 2
    for model, before in zip(models, wanted, strict=True):
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_where_the_disk_is_full_the_model_stays_as_it_was(tmp_path, monkeypatch):
    model = tiny()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    keep = Disk.keep

    def full(disk, group, flat):
        if group == 2:
            raise OSError("No space left on device")
        keep(disk, group, flat)

    monkeypatch.setattr(Disk, "keep", full)
    with pytest.raises(OSError, match="No space left"):
        Offload(model, "cpu", tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not list(tmp_path.iterdir())
