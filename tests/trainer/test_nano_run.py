"""The nano recipe, every stage for real at a small size, from nothing to trained weights."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.trainer.nano_run import CONFIG, copy_of, files_of
from trainer.data import build_bank, open_bank
from trainer.motion_latents import encode_bank
from trainer.nano import finished_vae, run_nano, single_dit_run
from trainer.photos import CHUNK, build_photos, open_photos

ROOT = Path(__file__).parents[2]


def test_two_ranks_draw_their_pictures_once_and_train_the_mask_together(tmp_path):
    """As the README trains it. Both would draw the same chunks, and each take away what the other had just made."""
    words = ["nano_smoke", "--out", str(tmp_path / "run"), "--stage", "bank", "--stage", "product_mask"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "trainer", "run", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(torchrun, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("clips") == 1 and done.stdout.count("photographs") == 1, "one rank draws"
    record = json.loads((tmp_path / "run" / "product_mask" / "log.jsonl").read_text().splitlines()[-1])
    assert record["step"] == CONFIG.mask.steps


def test_a_finished_run_does_nothing_again(nano_run):
    before = files_of(nano_run)
    assert {path.name for path in before} >= {"checkpoint.pt", "log.jsonl", "photos.npy"}
    assert run_nano(CONFIG, nano_run)
    assert files_of(nano_run) == before


def test_a_bank_is_the_same_bytes_however_it_was_built(nano_run, tmp_path):
    config = replace(CONFIG.bank, processes=2)
    assert build_bank(tmp_path / "bank", config)
    ours, other = open_bank(nano_run / "bank", CONFIG.bank), open_bank(tmp_path / "bank", config)
    assert all(np.array_equal(ours[f].fields, other[f].fields) for f in ours)
    assert all(np.array_equal(ours[f].photo, other[f].photo) for f in ours)


def test_another_bank_is_not_overwritten(nano_run):
    with pytest.raises(ValueError, match=r"holds another bank: seed is 1, asked for 99.* remove .*bank"):
        build_bank(nano_run / "bank", replace(CONFIG.bank, seed=99))


def test_more_photographs_than_there_are_is_a_sentence_and_no_crash(nano_run):
    more = replace(CONFIG, photos=replace(CONFIG.photos, count=64))
    with pytest.raises(ValueError, match=r"another set of photographs: count is 16, asked for 64.* remove .*photos"):
        run_nano(more, nano_run, ("bank",))


def test_photographs_of_an_earlier_version_are_known_by_their_number(nano_run, tmp_path):
    folder = copy_of(nano_run, tmp_path, "photos")
    (folder / "photos" / "photos.json").unlink()
    with pytest.raises(ValueError, match="count is 16, asked for 64"):
        build_photos(folder / "photos", replace(CONFIG.photos, count=64))
    (folder / "photos" / "photos.json").unlink()
    with pytest.raises(ValueError, match="snapshots is None, asked for"):
        build_photos(folder / "photos", replace(CONFIG.photos, snapshots=0.5))  # they were of scenes only
    (folder / "photos" / "photos.json").unlink()
    assert build_photos(folder / "photos", replace(CONFIG.photos, snapshots=0.0))


@pytest.mark.parametrize(
    ("stage", "parts", "says"),
    [
        ("motion_vae", (), "no clip bank"),
        ("relief", (), "no clip bank"),
        ("single_dit", ("bank",), r"finished Motion VAE; .* 0 of 4 steps"),
        ("single_dit", ("bank", "motion_vae"), r"relief by a finished model; .* 0 of 4 steps"),
        ("product_mask", ("bank",), "no photographs"),
    ],
)
def test_a_stage_without_what_it_learns_from_is_refused(nano_run, tmp_path, stage, parts, says):
    folder = copy_of(nano_run, tmp_path, *parts)
    before = files_of(folder)
    with pytest.raises(ValueError, match=says):
        run_nano(CONFIG, folder, (stage,))
    assert files_of(folder) == before


def test_the_single_dit_does_not_learn_on_an_unfinished_motion_vae(nano_run, tmp_path):
    folder = copy_of(nano_run, tmp_path, "bank", "motion_vae")
    longer = replace(CONFIG, vae=replace(CONFIG.vae, steps=6))
    with pytest.raises(ValueError, match=r"finished Motion VAE; .* 4 of 6 steps"):
        run_nano(longer, folder, ("single_dit",))


@pytest.mark.parametrize(
    ("stage", "loop", "says"), [("motion_vae", "vae", "finished Motion VAE"), ("relief", "relief", "finished model")]
)
def test_a_stage_of_no_steps_that_began_at_nothing_is_not_learnt_on(nano_run, tmp_path, stage, loop, says):
    folder = copy_of(nano_run, tmp_path, "bank", *({"motion_vae", "relief"} - {stage}))
    none = replace(CONFIG, **{loop: replace(getattr(CONFIG, loop), steps=0)})
    with pytest.raises(ValueError, match=rf"{says}; .* 0 of 0 steps"):
        run_nano(none, folder, ("single_dit",))


def test_a_bank_from_before_the_relief_is_another_bank(nano_run, tmp_path):
    folder, missing = copy_of(nano_run, tmp_path, "bank"), "disparity.npy"
    noted = folder / "bank" / "bank.json"
    noted.write_text(json.dumps(json.loads(noted.read_text()) | {"holds": None}))
    (folder / "bank" / "1x1" / missing).unlink()
    for stage in ("bank", "relief"):
        with pytest.raises(ValueError, match="holds another bank: holds is None, asked for 3"):
            run_nano(CONFIG, folder, (stage,))
    assert not (folder / "bank" / "1x1" / missing).exists()


def test_a_bank_with_a_missing_chunk_is_not_learnt_from(nano_run, tmp_path):
    folder = copy_of(nano_run, tmp_path, "bank")
    (folder / "bank" / "1x1" / "chunks" / "000000.json").unlink()
    with pytest.raises(ValueError, match=r"not whole: 1 chunks are missing"):
        run_nano(CONFIG, folder, ("motion_vae",))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hidden": 128, "heads": 2}, r"modules\.single_dit\.hidden is 64, asked for 128"),
        ({"extra_captions": 9}, r"data\.extra_captions is 4, asked for 9"),
        ({"dit": replace(CONFIG.dit, learning_rate=0.5)}, r"loop\.learning_rate is 0\.001, asked for 0\.5"),
    ],
)
def test_a_stage_does_not_go_on_under_another_recipe(nano_run, change, says):
    with pytest.raises(ValueError, match=says):
        run_nano(replace(CONFIG, **change), nano_run, ("single_dit",))


def test_the_minutes_bound_every_stage(tmp_path):
    assert run_nano(CONFIG, tmp_path, minutes=0) is False
    assert not list(tmp_path.rglob("chunks/*")) and not list(tmp_path.rglob("checkpoint.pt"))


def test_a_call_whose_minutes_are_over_stops_after_a_chunk_and_the_next_goes_on(tmp_path, monkeypatch):
    config, marks = replace(CONFIG.photos, count=CHUNK * 4), tmp_path / "chunks"
    monkeypatch.setattr("trainer.chunks.time", SimpleNamespace(monotonic=lambda: len(list(marks.glob("[0-9]*")))))
    assert build_photos(tmp_path, config, deadline=1) is False
    done = len(list(marks.glob("[0-9]*")))
    assert 1 <= done < 4
    with pytest.raises(ValueError, match=rf"lack {4 - done} chunks"):
        open_photos(tmp_path, config)


def test_latents_stop_after_a_batch_and_go_on_to_the_same_bits(nano_run, tmp_path, monkeypatch):
    folder = copy_of(nano_run, tmp_path, "bank", "motion_vae")
    banks, vae = open_bank(folder / "bank", CONFIG.bank), finished_vae(CONFIG, folder)
    marks = folder / "latents" / "chunks"
    monkeypatch.setattr("trainer.motion_latents.time", SimpleNamespace(monotonic=lambda: len(list(marks.glob("*")))))
    assert encode_bank(CONFIG, folder, banks, vae, deadline=2) is False
    assert len(list(marks.glob("*"))) == 2
    assert encode_bank(CONFIG, folder, banks, vae)
    for name in ("9x16", "1x1", "4x5", "16x9"):
        assert np.array_equal(*(np.load(home / "latents" / f"{name}.npy") for home in (folder, nano_run)))
    statistics = [torch.load(home / "latents" / "statistics.pt") for home in (folder, nano_run)]
    assert all(torch.equal(statistics[0][key], statistics[1][key]) for key in ("mean", "std"))


# Ends itself without any clean-up after step 3: step 2 is saved, step 4 would be the next.
KILLED = """
import os, signal, sys
import trainer.loop
from trainer.__main__ import main

step = trainer.loop._train_step

def until(run, *rest):
    if run.step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(run, *rest)

trainer.loop._train_step = until
main(["run", "nano_smoke", "--out", sys.argv[1], "--stage", "single_dit"])
"""


def test_a_run_that_was_killed_ends_with_the_same_bits(nano_run, tmp_path):
    folder = copy_of(nano_run, tmp_path, "bank", "motion_vae", "relief", "latents", "tokenizer.json")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert single_dit_run(CONFIG, folder).step == 2
    assert run_nano(CONFIG, folder, ("single_dit",))
    ours, whole = (torch.load(home / "single_dit" / "checkpoint.pt") for home in (folder, nano_run))
    for part in ("net", "average"):
        assert ours[part].keys() == whole[part].keys()
        assert all(torch.equal(ours[part][key], whole[part][key]) for key in whole[part])
    logs = [[{**row, "time": 0} for row in single_dit_run(CONFIG, home).log.rows()] for home in (folder, nano_run)]
    assert logs[0] == logs[1]


def test_latents_of_another_motion_vae_of_as_many_steps_are_not_learnt_from(nano_run, tmp_path):
    folder = copy_of(nano_run, tmp_path, "bank", "relief", "latents", "tokenizer.json")
    other = replace(CONFIG, vae=replace(CONFIG.vae, learning_rate=5e-4))
    assert run_nano(other, folder, ("motion_vae",))
    with pytest.raises(ValueError, match="holds another set of latents: vae is sha256"):
        run_nano(other, folder, ("single_dit",))
