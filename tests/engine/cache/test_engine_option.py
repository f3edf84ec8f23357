"""The engine's own path under a bundle's calibration: off by default, told in what it did, refused at other steps."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from engine.bundles import BundleError, read_bundle, write_bundle
from engine.cache.budget import Setting
from engine.generate import Engine
from engine.requests import ImageToVideo
from tests.engine.cache.calibrated import STEPS, calibrated
from trainer.evaluate.films import prepare
from trainer.evaluate.scenes import make_world


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The shipped model with a calibration: at six steps, two are not computed whole."""
    steps = ["all", "all", "none 1.5 -0.5", "all", "asked 1 1 -1", "all"]
    setting = Setting("schedule", {"steps": steps}, 0.04, 0.05, 0.75, 1 / 6)
    return calibrated(tmp_path_factory.mktemp("bundle") / "nano", setting).path


@pytest.fixture(scope="module")
def asked():
    request = ImageToVideo(short_side=540, seed=3, steps=STEPS)
    return request, prepare(make_world(3, request.format, 540), request)


def fields_of(engine, request, prepared):
    *_, fields = engine.denoise(request, prepared, request.seed)
    return np.stack([fields.scene_flow, fields.product_flow])


def test_a_budget_forecasts_what_the_calibration_says_and_stays_near(bundle, asked):
    engine, whole = Engine.load(bundle, cache=0.05), fields_of(Engine.load(), *asked)
    cached = fields_of(engine, *asked)
    assert engine.denoiser.saved == {"budget": 0.05, "hits": 2, "misses": 4, "work": 0.75}
    error = np.linalg.norm(cached - whole) / np.linalg.norm(whole)
    assert 0 < error < 0.2
    assert "forward" not in vars(engine.dit)


def test_a_budget_that_no_setting_keeps_computes_everything(bundle, asked):
    request, prepared = asked
    engine = Engine.load(bundle, cache=0.01)
    assert np.array_equal(fields_of(engine, request, prepared), fields_of(Engine.load(), request, prepared))
    assert engine.denoiser.saved == {"budget": 0.01, "hits": 0, "misses": STEPS, "work": 1.0}


def test_at_other_steps_it_says_which_the_cache_is_for(bundle, asked):
    request, prepared = asked
    with pytest.raises(ValueError, match="calibrated for 6 steps, not for these 5: ask for as many"):
        fields_of(Engine.load(bundle, cache=0.05), request.model_copy(update={"steps": 5}), prepared)


def test_where_the_steps_may_differ_others_are_computed_whole_and_told(bundle, asked):
    request, prepared = asked
    engine, other = Engine.load(bundle, cache=0.05, strict=False), request.model_copy(update={"steps": 5})
    assert np.array_equal(fields_of(engine, other, prepared), fields_of(Engine.load(), other, prepared))
    assert engine.denoiser.saved == {"budget": 0.05, "hits": 0, "misses": 5, "work": 1.0}
    fields_of(engine, request, prepared)
    assert engine.denoiser.saved["hits"] == 2


def test_a_bundle_without_a_calibration_cannot_keep_a_budget():
    with pytest.raises(BundleError, match="brings no calibration: leave it out"):
        Engine.load(cache=0.05)


def test_a_calibration_with_another_guidance_than_the_bundles_is_refused(bundle, tmp_path):
    was, other = read_bundle(bundle), shutil.copytree(bundle, tmp_path / "other")
    found = json.loads((other / "cache.json").read_text())
    (other / "cache.json").write_text(json.dumps(found | {"guidance": found["guidance"] + 1}))
    about = {"kinds": was.kinds, "capabilities": was.capabilities, "provenance": was.provenance}
    write_bundle(other, name=was.name, version="2", **about)
    with pytest.raises(BundleError, match="its cache was calibrated with"):
        Engine.load(other, cache=0.05)
    assert Engine.load(other).denoiser.saved == {}  # without the cache it is as good as any
