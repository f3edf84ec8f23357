"""Long videos: chunks join, survive a stop, and are measured at their seams. A model with random weights is enough."""

import json
import os

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from safetensors.torch import save_file

from engine.bundles import write_bundle
from engine.events import Canceled
from engine.latent_denoise import identity_of
from engine.latent_video import LatentVideo
from engine.length import LongVideo, drift, make_long, seam_error
from engine.models.ernie import ErnieEncoder
from engine.models.single_dit import SingleDiT
from trainer.tokenizer import train_tokenizer

VIDEO = LongVideo("a red cup", frames=20, chunk=9, overlap=5, height=16, width=16, steps=2, seed=3)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    folder.mkdir()
    torch.manual_seed(0)
    vae = AutoencoderKLWan(
        base_dim=8, z_dim=4, dim_mult=[1, 1, 1], num_res_blocks=1, temperal_downsample=[True, True], in_channels=12,
        out_channels=12, patch_size=2, is_residual=False, scale_factor_spatial=8, latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )  # fmt: skip
    dit = SingleDiT(in_channels=4, condition_channels=5, hidden=32, depth=1, heads=2, rope_axes=(4, 6, 6), text_dim=16)
    with torch.no_grad():
        for parameter in dit.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    text = ErnieEncoder(universal_width=32, universal_layers=1, universal_heads=1, nlu_width=16, nlu_layers=1)
    for name, part in {"vae": vae, "single_dit": dit, "text": text}.items():
        (folder / f"{name}.json").write_text(json.dumps(dict(part.config), default=list))
        save_file(part.state_dict(), folder / f"{name}.safetensors")
    train_tokenizer(folder / "tokenizer.json", ["a red cup", "a blue shoe pans left"])
    capabilities = {
        "sampling": {"shift": 1.0, "guidance": 2.0},
        "latents": {"mean": [0.0] * 4, "std": [1.0] * 4},
    }
    write_bundle(folder, name="tiny", version="0", kinds=("text_to_video",), capabilities=capabilities, provenance={})
    return LatentVideo.load(folder)


def whole(model, video, folder, **options):
    return np.concatenate(list(make_long(model, video, folder, **options)))


def test_chunks_make_the_asked_length_and_each_begins_where_the_last_ended(model, tmp_path):
    frames = whole(model, VIDEO, tmp_path)
    assert frames.shape == (20, 16, 16, 3)
    assert VIDEO.chunks == 4 and VIDEO.seams == [9, 13, 17]
    second = [*model.denoise(VIDEO.prompt, known=frames[4:9], frames=9, height=16, width=16, steps=2, seed=4)][-1][1]
    assert np.array_equal(model.decode(second)[5:], frames[9:13])


def test_control_a_chunk_reads_what_is_handed_on(model, tmp_path):
    rng = np.random.default_rng(0)
    known = rng.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    assert not np.array_equal(whole(model, VIDEO, tmp_path / "a"), whole(model, VIDEO, tmp_path / "b", known=known))


def test_a_run_that_was_stopped_goes_on_to_the_same_frames(model, tmp_path):
    wanted = whole(model, VIDEO, tmp_path / "whole")
    asked = 0

    def canceled():
        nonlocal asked
        asked += 1
        return asked > 5  # within the third chunk, of two steps each

    with pytest.raises(Canceled):
        whole(model, VIDEO, tmp_path / "stopped", is_canceled=canceled)
    assert sorted(p.name for p in tmp_path.joinpath("stopped").glob("*.npy")) == ["chunk-0000.npy", "chunk-0001.npy"]
    made = []
    frames = whole(model, VIDEO, tmp_path / "stopped", on_chunk=lambda done, total: made.append((done, total)))
    assert np.array_equal(frames, wanted) and made == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_longer_video_goes_on_where_a_shorter_one_ended(model, tmp_path):
    short = LongVideo(**{**vars(VIDEO), "frames": 11})
    first = whole(model, short, tmp_path)
    longer = whole(model, VIDEO, tmp_path)
    assert len(first) == 11 and np.array_equal(longer[:11], first)


def test_a_wrong_request_claims_no_folder(model, tmp_path):
    with pytest.raises(ValueError, match="multiples of 8"):
        whole(model, LongVideo(**{**vars(VIDEO), "height": 12}), tmp_path)
    assert len(whole(model, VIDEO, tmp_path)) == 20


def test_the_chunks_of_another_video_are_not_taken(model, tmp_path):
    whole(model, VIDEO, tmp_path)
    with pytest.raises(ValueError, match=r"chunks of another video \(other: prompt, seed\)"):
        whole(model, LongVideo(**{**vars(VIDEO), "prompt": "a shoe", "seed": 9}), tmp_path)


def test_a_photo_of_the_same_bytes_in_another_form_is_another(model, tmp_path):
    whole(model, VIDEO, tmp_path, known=np.zeros((1, 16, 16, 3), np.uint8))
    with pytest.raises(ValueError, match=r"chunks of another video \(other: known\)"):
        whole(model, VIDEO, tmp_path, known=np.zeros((1, 8, 32, 3), np.uint8))


@pytest.mark.parametrize("left", ["nothing", "a part", "other frames", "no array"])
def test_what_a_crash_left_of_a_chunk_is_made_again(model, tmp_path, left):
    wanted = whole(model, VIDEO, tmp_path)
    chunk = tmp_path / "chunk-0001.npy"
    before = chunk.read_bytes()
    np.save(tmp_path / "others.npy", np.zeros((9, 16, 8, 3), np.uint8))
    others = (tmp_path / "others.npy").read_bytes()
    chunk.write_bytes({"nothing": b"", "a part": before[:300], "other frames": others, "no array": bytes(900)}[left])
    assert np.array_equal(whole(model, VIDEO, tmp_path), wanted)
    assert chunk.read_bytes() == before


@pytest.mark.parametrize("left", [None, '{"prompt"', "[]"])
def test_chunks_that_do_not_say_of_what_are_not_taken(model, tmp_path, left):
    whole(model, VIDEO, tmp_path)
    request = tmp_path / "request.json"
    request.unlink() if left is None else request.write_text(left)
    with pytest.raises(ValueError, match=r"holds chunks, and no request\.json that can be read says of which video"):
        whole(model, VIDEO, tmp_path)


def test_a_chunk_is_on_the_disk_before_it_has_its_name(model, tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda handle: done.append(len(list(tmp_path.glob("chunk-*.npy")))))
    whole(model, VIDEO, tmp_path)
    assert done == [0, 0, 1, 2, 3]  # the request, then four chunks


def test_the_chunks_of_another_adapter_or_cache_are_not_taken(model, tmp_path):
    whole(model, VIDEO, tmp_path / "made")
    cached, worn = LatentVideo(model.bundle), LatentVideo(model.bundle)
    cached.denoiser.identity = {**model.denoiser.identity, "cache": 0.05}
    worn.denoiser.identity = identity_of(0.0, model.bundle.path)
    assert worn.denoiser.identity["adapter"] == model.bundle.digest
    for other, what in ((cached, "cache"), (worn, "adapter")):
        with pytest.raises(ValueError, match=rf"chunks of another video \(other: {what}\)"):
            whole(other, VIDEO, tmp_path / "made")


def test_steps_are_the_bundles_own_unless_they_are_chosen(model, tmp_path, monkeypatch):
    monkeypatch.setitem(model.bundle.capabilities["sampling"], "steps", 3)
    own = LongVideo(**{**vars(VIDEO), "steps": None, "frames": 9})
    counted = []
    whole(model, own, tmp_path, is_canceled=lambda: counted.append(1))
    assert len(counted) == 3


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"chunk": 8}, "`chunk` is 1"),
        ({"overlap": 9}, "leaves nothing new"),
        ({"frames": 0}, "0 frames: a video takes at least one"),
        ({"steps": 0}, "0 steps: a video takes at least one"),
    ],
    ids=["chunk", "overlap", "frames", "steps"],
)
def test_numbers_that_do_not_go_together_are_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        LongVideo(**{**vars(VIDEO), **wrong})


def moving(frames=24):
    wave = (127 + 100 * np.sin(np.arange(64) * np.pi / 8)).astype(np.uint8)
    return np.stack([np.tile(np.roll(wave, i), (8, 1)) for i in range(frames)])[..., None].repeat(3, -1)


def test_seam_and_drift_are_none_in_one_video_and_found_where_they_are():
    video = moving()
    assert seam_error(video, [8, 16]) == pytest.approx(1, abs=0.01)
    assert drift(video, 8) == pytest.approx({"colour": 0, "contrast": 1, "detail": 1}, abs=0.01)
    broken = video.copy()
    broken[8:] = np.roll(broken[8:], 6, 2)
    assert seam_error(broken, [8]) > 3
    faded = video.copy()
    faded[16:] = faded[16:] // 2 + 80
    assert drift(faded, 8)["contrast"] < 0.6 and drift(faded, 8)["colour"] > 10
    with pytest.raises(ValueError, match="moving video"):
        seam_error(video, [])
