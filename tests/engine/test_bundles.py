"""A bundle is whole and safe, or it is refused with a sentence."""

import json
import shutil

import pytest

from engine.bundles import SHIPPED, BundleError, read_bundle, write_bundle


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
    assert all(stage["losses"] for stage in bundle.provenance["stages"].values())
