"""A bundle is whole and safe, or it is refused with a sentence."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from engine.bundles import SHIPPED, BundleError, read_bundle, write_bundle
from engine.conditions import CONDITION_CHANNELS
from engine.denoise import Denoiser, Row
from engine.generate import Engine
from engine.mask import Masker
from engine.models.ernie import ErnieEncoder


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    write_bundle(folder, name="test", version="1", kinds=("image_to_video",), capabilities={}, provenance={})
    return folder


def edit(folder, **changes):
    manifest = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(manifest | changes))


def test_a_whole_bundle_reads_back(bundle):
    read = read_bundle(bundle)
    assert read.identity["digest"].startswith("sha256:")
    assert read.file("model.safetensors").read_bytes() == b"weights"


def test_the_digest_covers_every_byte(bundle):
    before = read_bundle(bundle).digest
    (bundle / "model.safetensors").write_bytes(b"other w")
    write_bundle(bundle, name="test", version="1", kinds=("image_to_video",), capabilities={}, provenance={})
    assert read_bundle(bundle).digest != before


def test_one_flipped_byte_is_found(bundle):
    (bundle / "model.safetensors").write_bytes(b"weightz")
    with pytest.raises(BundleError, match="damaged"):
        read_bundle(bundle)


def test_a_missing_file_is_named(bundle):
    (bundle / "model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"model\.safetensors is missing"):
        read_bundle(bundle)


def test_a_pickle_is_refused_listed_or_not(bundle):
    (bundle / "model.pt").write_bytes(b"x")
    with pytest.raises(BundleError, match="does not list"):
        read_bundle(bundle)
    manifest = json.loads((bundle / "bundle.json").read_text())
    edit(bundle, files=manifest["files"] | {"model.pt": "0" * 64})
    with pytest.raises(BundleError, match="safetensors only"):
        read_bundle(bundle)


@pytest.mark.parametrize("name", ["../secret.json", "/etc/passwd"])
def test_a_file_outside_the_folder_is_refused(bundle, name):
    manifest = json.loads((bundle / "bundle.json").read_text())
    edit(bundle, files=manifest["files"] | {name: "0" * 64})
    with pytest.raises(BundleError, match="outside its folder"):
        read_bundle(bundle)


def test_a_link_is_not_followed(bundle, tmp_path):
    target = tmp_path / "elsewhere"
    shutil.move(bundle / "model.safetensors", target)
    (bundle / "model.safetensors").symlink_to(target)
    with pytest.raises(BundleError, match="missing"):
        read_bundle(bundle)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": "other/9"}', '{"format": "aquarius-bundle/1"}'])
def test_a_manifest_that_is_none_is_explained(bundle, text):
    (bundle / "bundle.json").write_text(text)
    with pytest.raises(BundleError):
        read_bundle(bundle)


def test_a_folder_that_is_no_bundle_is_explained(tmp_path):
    with pytest.raises(BundleError, match=r"holds no bundle\.json"):
        read_bundle(tmp_path)
    with pytest.raises(BundleError, match="no model bundle at"):
        read_bundle(tmp_path / "nowhere")


def test_the_shipped_bundle_is_whole_small_and_says_how_it_was_made():
    bundle = read_bundle(SHIPPED)
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 30_000_000
    assert {"commit", "command", "seed", "stages"} <= set(bundle.provenance)
    stages = bundle.provenance["stages"].values()  # learnt here, or published by others
    assert all(stage["losses"] or {"source", "licence", "sha256"} <= set(stage) for stage in stages)


# --- bundles that verify, and are wrong ---


@pytest.fixture
def shipped(tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(SHIPPED, folder)
    return folder


def seal(folder, **changes):
    """Write the manifest anew for what now lies in the folder: it verifies, whatever it holds."""
    manifest = json.loads((folder / "bundle.json").read_text()) | changes
    keys = ("name", "version", "kinds", "capabilities", "provenance")
    write_bundle(folder, **{key: manifest[key] for key in keys})


def change(folder, name, **changes):
    (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | changes))


def without_weights(folder):
    (folder / "motion_vae.safetensors").unlink()


def without_relief(folder):
    for name in ("relief.json", "relief.safetensors"):
        (folder / name).unlink()


def without_roundness(folder):
    for name in ("roundness.json", "roundness.safetensors"):
        (folder / name).unlink()


def without_both(folder):
    without_relief(folder)
    without_roundness(folder)


def without_mask(folder):
    (folder / "product_mask.json").unlink()


def anothers_weights(folder):
    shutil.copyfile(folder / "motion_vae.safetensors", folder / "text.safetensors")


def no_weights_at_all(folder):
    (folder / "single_dit.safetensors").write_bytes(b"not safetensors")


def anothers_mask(folder):
    shutil.copyfile(folder / "text.safetensors", folder / "product_mask.safetensors")


def a_config_of_something_else(folder):
    (folder / "text.json").write_text("[]")


def an_impossible_size(folder):
    change(folder, "single_dit.json", heads=7)


def a_tokenizer_of_something_else(folder):
    (folder / "tokenizer.json").write_text("{}")


def text_of_another_width(folder):
    words = json.loads((folder / "text.json").read_text())["vocab_size"]
    text = ErnieEncoder(vocab_size=words, nlu_width=64)
    save_file(text.state_dict(), folder / "text.safetensors")
    change(folder, "text.json", nlu_width=64)


def fewer_words_than_the_tokenizer(folder):
    width = json.loads((folder / "text.json").read_text())["nlu_width"]
    text = ErnieEncoder(vocab_size=300, nlu_width=width)
    save_file(text.state_dict(), folder / "text.safetensors")
    change(folder, "text.json", vocab_size=300)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (without_weights, r"no file motion_vae\.safetensors"),
        (without_mask, r"no file product_mask\.json"),
        (without_relief, r"see how far away things are: .* --relief engine/bundled/aquarius-nano .* train on from it"),
        (without_roundness, r"see how round a product is: .* --out BUNDLE --roundness engine/bundled.*--version V`"),
        (without_both, r"are and how round .* --relief .* --bundle NEW .* --out NEW --roundness .* --bundle NEWER"),
        (anothers_weights, r"text\.safetensors is not what"),
        (no_weights_at_all, r"single_dit\.safetensors is not what"),
        (anothers_mask, r"product_mask\.safetensors is not what"),
        (a_config_of_something_else, r"text\.json is not what"),
        (an_impossible_size, r"single_dit\.json is not what"),
        (a_tokenizer_of_something_else, r"tokenizer\.json is not what"),
        (text_of_another_width, r"reads text of another width"),
        (fewer_words_than_the_tokenizer, r"mixes models: .* 300 in text\.json"),
    ],
)
def test_a_bundle_that_verifies_and_is_wrong_is_refused_when_it_is_loaded(shipped, spoil, says):
    spoil(shipped)
    seal(shipped)
    with pytest.raises(BundleError, match=says):
        Engine.load(shipped)


HOT = {"shift": 1.0, "guidance": 2.0, "temperature": 0}


@pytest.mark.parametrize("sampling", [None, [], {"shift": 1.0}, {"shift": 1.0, "guidance": "1.5"}, {"shift": 0}, HOT])
def test_a_bundle_that_does_not_say_how_to_sample_is_refused_when_it_is_loaded(shipped, sampling):
    manifest = json.loads((shipped / "bundle.json").read_text())
    others = {key: value for key, value in manifest["capabilities"].items() if key != "sampling"}
    seal(shipped, capabilities=others if sampling is None else others | {"sampling": sampling})
    with pytest.raises(BundleError, match=r"how to sample: sampling\.(shift|guidance|temperature)"):
        Engine.load(shipped)


def test_the_mask_alone_refuses_another_models_weights(shipped):
    anothers_mask(shipped)
    seal(shipped)
    with pytest.raises(BundleError, match=r"product_mask\.safetensors is not what"):
        Masker.load(shipped)


def test_control_a_copy_that_is_only_sealed_anew_is_loaded(shipped):
    seal(shipped)
    assert Engine.load(shipped).sampling["guidance"] > 0


def test_a_samples_noise_is_as_large_as_the_bundles_temperature(shipped):
    row = Row("", ("pan-left", 0.5, "still", 0.5), torch.zeros(CONDITION_CHANNELS, 4, 8, 8), seed=3)
    capabilities = json.loads((shipped / "bundle.json").read_text())["capabilities"]
    noises = []
    for temperature in (1.0, 0.5):
        sampling = {"shift": 1.0, "guidance": 1.0, "temperature": temperature}
        seal(shipped, capabilities=capabilities | {"sampling": sampling})
        denoiser = Denoiser(read_bundle(shipped))
        denoiser.dit.forward = lambda x, *_: torch.zeros_like(x)  # a velocity of nothing leaves the noise
        noises.append(list(denoiser.denoise([row], 2))[-1])
    assert noises[0].std() > 0.9 and torch.equal(noises[1], noises[0] / 2)
