"""The video VAE and text encoder of an imported Wan pipeline make the shards that a large recipe learns from."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from datapipe.shards import ShardSet
from engine.__main__ import main as make
from engine.bundles import Bundle, BundleError, read_bundle
from engine.latent_video import LatentVideo
from engine.pretrained.importing import import_directory
from tests.engine.pretrained import tiny
from trainer.__main__ import main
from trainer.encode import Encoder, encoder_digest
from trainer.film_shards import write_films

MODEL = ["--set", "model.in_channels=16", "--set", "model.text_dim=16", "--set", "model.condition_channels=20"]


@pytest.fixture(scope="module")
def pipe():
    torch.manual_seed(3)
    return tiny.wan()


@pytest.fixture(scope="module")
def home(pipe, tmp_path_factory) -> Path:
    """`wan`, imported; `films`; and `data`, what it made of them."""
    folder = tmp_path_factory.mktemp("wan")
    pipe.save_pretrained(folder / "directory", safe_serialization=True)
    import_directory(folder / "directory", folder / "wan")
    write_films(folder / "films", [(32, 32)], scenes=6, motions=1)
    asked = ["--set", f"encoder={folder / 'wan'}", "--data", str(folder / "films"), "--out", str(folder / "data")]
    assert main(["encode", "single_dit_2b_smoke", *asked]) == 0
    return folder


def again(pipe, folder: Path) -> Bundle:
    pipe.save_pretrained(folder / "directory", safe_serialization=True)
    return import_directory(folder / "directory", folder / "bundle")


def test_latents_and_features_are_those_of_the_pipeline(home, pipe):
    films, shards = ShardSet(home / "films"), ShardSet(home / "data")
    record = shards[1]
    frames = films[record.facts["film"]].values["frames"].copy()
    video = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    config = pipe.vae.config
    mean, std = (torch.tensor(x).reshape(1, -1, 1, 1, 1) for x in (config.latents_mean, config.latents_std))
    with torch.no_grad():
        wanted = (pipe.vae.encode(video).latent_dist.mode() - mean) / std
        text, _ = pipe.encode_prompt("a red cup turns", do_classifier_free_guidance=False, max_sequence_length=512)
    np.testing.assert_allclose(record.values["latents"].astype(np.float32), wanted[0].numpy(), atol=5e-3)
    (made,) = Encoder(read_bundle(home / "wan")).features(["a red cup turns"])
    assert made.shape == (4, 16)
    np.testing.assert_allclose(made.astype(np.float32), text[0, :4].numpy(), atol=5e-3)


@pytest.fixture(scope="module")
def made(home) -> Path:
    """The bundle of a transformer that learnt from them."""
    words = ["--set", f"data={home / 'data'}", "--set", f"encoder={home / 'wan'}", *MODEL]
    assert main(["run", "single_dit_2b_smoke", "--out", str(home / "run"), *words]) == 0
    export = ["export", "single_dit_2b_smoke", "--out", str(home / "run"), "--bundle", str(home / "made")]
    assert main([*export, "--version", "0.1", *words]) == 0
    return home / "made"


def test_a_transformer_that_learnt_from_them_makes_films(made, tmp_path):
    asked = ["generate", "--bundle", str(made), "--prompt", "a red cup turns", "--seed", "1", "--steps", "2"]
    assert make([*asked, "-o", str(tmp_path / "film.mp4")]) == 0
    assert (tmp_path / "film.mp4").stat().st_size > 1000
    model = LatentVideo.load(made)
    one, other = (
        [*model.denoise(prompt, height=32, width=32, steps=2, seed=1)][-1][1] for prompt in ("a red cup", "turns left")
    )
    assert not torch.equal(one, other), "words are read"


def test_its_bundle_encodes_as_the_pipeline_does(made, home):
    ours, theirs = (Encoder(read_bundle(folder)) for folder in (made, home / "wan"))
    frames = ShardSet(home / "films")[0].values["frames"].copy()
    np.testing.assert_array_equal(ours.latents(frames), theirs.latents(frames))
    for one, other in zip(ours.features(["a cup", ""]), theirs.features(["a cup", ""]), strict=True):
        np.testing.assert_array_equal(one, other)
    together, mask = ours.tokenizer(["a red cup turns", ""])
    alone = theirs.features([""])[0].astype(np.float32)
    np.testing.assert_allclose(ours.text(together, mask)[1, mask[1]].numpy(), alone, atol=5e-3)


@pytest.mark.parametrize("told", [{"encoder": "BertModel", "tokenizer": "T5TokenizerFast"}, None])
def test_a_text_encoder_of_an_unknown_class_is_not_loaded(made, tmp_path, told):
    shutil.copytree(made, tmp_path / "b")
    manifest = json.loads((tmp_path / "b" / "bundle.json").read_text())
    manifest["capabilities"]["text"] = told
    (tmp_path / "b" / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="reads text with"):
        LatentVideo.load(tmp_path / "b")


def test_the_key_is_that_of_what_encodes(home, tmp_path):
    torch.manual_seed(4)
    other = tiny.wan()
    same = tiny.wan()
    same.vae, same.text_encoder = other.vae, other.text_encoder
    one, two = again(other, tmp_path / "one"), again(same, tmp_path / "two")
    assert encoder_digest(one) == encoder_digest(two) != encoder_digest(read_bundle(home / "wan"))


def test_what_cannot_be_done_is_said(home, tmp_path, capsys):
    encoder = ["--data", str(home / "films"), "--out", str(tmp_path / "out")]
    assert main(["encode", str(home / "wan"), *encoder]) == 2
    assert "for which recipe" in capsys.readouterr().err
    again(tiny.ltx(), tmp_path / "ltx")
    assert main(["encode", "single_dit_2b_smoke", "--set", f"encoder={tmp_path / 'ltx' / 'bundle'}", *encoder]) == 2
    assert "cannot encode: it is a LTXPipeline" in capsys.readouterr().err
