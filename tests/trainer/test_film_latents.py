"""Films as latents: gone on with after a pause, by one process or many, and of one VAE alone."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from trainer.film_latents import BOXED_EVERY, CHUNK, boxes_of, encode_bank, open_latents, with_boxes
from trainer.films import build_films, open_films
from trainer.objectives.video_flow import sample_tasks
from trainer.recipes.tiny_video import tiny_video_smoke
from trainer.tiny_video import make_vae

CONFIG = replace(tiny_video_smoke(), films=replace(tiny_video_smoke().films, scenes=CHUNK + 1, motions=2))


def vae_of(seed: int):
    torch.manual_seed(seed)
    return make_vae(CONFIG).eval()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("latents")
    assert build_films(folder / "bank", CONFIG.films)
    assert encode_bank(CONFIG, folder / "latents", vae_of(0))
    return folder


def copy_of(run_folder, tmp_path):
    (tmp_path / "bank").symlink_to(run_folder / "bank")
    return tmp_path / "latents"


def test_a_pause_and_another_number_of_processes_change_no_byte(run_folder, tmp_path):
    made, vae = copy_of(run_folder, tmp_path), vae_of(0)
    assert not encode_bank(CONFIG, made, vae, deadline=time.monotonic() + 2)
    done = [path.stat().st_mtime_ns for path in (made / "chunks").iterdir()]
    assert 0 < len(done) < 3
    with pytest.raises(ValueError, match="Run the stage `latents`"):
        open_latents(CONFIG, made)
    assert encode_bank(replace(CONFIG, films=replace(CONFIG.films, processes=2)), made, vae)
    assert set(done) < {path.stat().st_mtime_ns for path in (made / "chunks").iterdir()}, "none is made again"
    for name in ("latents.npy", "boxed.npy"):
        np.testing.assert_array_equal(np.load(made / name), np.load(run_folder / "latents" / name))


def test_a_batch_is_whole_films_and_the_boxed_ones_of_inpainting(run_folder):
    films, latents = open_films(run_folder / "bank", CONFIG.films), open_latents(CONFIG, run_folder / "latents")
    rng = np.random.default_rng(0)
    items, tasks = rng.permutation(len(films))[:12], [*sample_tasks(8, rng), *["inpainting"] * 4]
    chosen = with_boxes(items, tasks)
    moved = np.array(tasks) == "inpainting"
    assert (chosen[~moved] == items[~moved]).all() and (chosen[moved] % BOXED_EVERY == 0).all()
    clips, boxed, boxes = latents.batch(chosen, tasks)
    assert (boxes == boxes_of(CONFIG, len(films))[chosen]).all()
    changed = (clips != boxed).flatten(1).any(1).numpy()
    assert (changed == moved).all(), "what is hidden is hidden of these alone"
    rows = slice(5, 11)  # of a rank
    for one, part in zip((clips, boxed, boxes), latents.batch(chosen[rows], tasks[rows]), strict=True):
        np.testing.assert_array_equal(one[rows], part)
    assert abs(float(torch.from_numpy(np.array(latents.films)).float().mean()) - float(latents.mean_C111.mean())) < 1e-3


def test_latents_of_another_vae_are_not_gone_on_with(run_folder):
    with pytest.raises(ValueError, match=r"another set of latents.*vae is"):
        encode_bank(CONFIG, run_folder / "latents", vae_of(1))


def test_latents_of_an_older_version_are_told(run_folder, tmp_path):
    made = copy_of(run_folder, tmp_path)
    made.mkdir()
    (made / "statistics.json").write_text("{}")
    (made / "latents.json").write_text(json.dumps({"films": CONFIG.films.described, "video_vae_steps": 2}))
    with pytest.raises(ValueError, match=r"another set of latents.*boxed_every is None"):
        open_latents(CONFIG, made)
