"""A student without guidance and of few steps, from a teacher's own trajectories; and a bundle that says so."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.__main__ import main as engine_main
from engine.bundles import SHIPPED, BundleError, read_bundle
from engine.latent_video import LatentVideo
from tests.trainer.tiny_bundle import write_photos
from trainer.__main__ import main
from trainer.distil import export_distil, few_steps_run, guidance_run, run_distil, students_of
from trainer.distil_figures import COMPARISON, comparison_of, read_comparison
from trainer.recipes.distil import DistilConfig, distil_smoke
from trainer.teachers import load_teacher
from trainer.trajectories import draw_scenes, open_trajectories, solve


def config_of(base: Path, learning: int = 120) -> DistilConfig:
    made = replace(distil_smoke(), base=str(base))
    loop = replace(
        made.guidance, steps=learning, batch=8, learning_rate=5e-3, save_every=50, ema=0.9, tensorboard=False
    )
    return replace(made, trajectories=replace(made.trajectories, items=32), guidance=loop, few_steps=loop)


@pytest.fixture(scope="module")
def run_folder(tiny_bundle, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "distil"
    assert run_distil(config_of(tiny_bundle), folder)
    return folder


def rows_of(folder: Path) -> dict[str, dict]:
    found = read_comparison(folder)
    assert found is not None
    return {row["name"]: row for row in found["rows"]}


def test_both_students_come_nearer_to_the_teacher_than_it_comes_itself_at_their_price(run_folder):
    rows = rows_of(run_folder)
    assert rows["teacher, the reference"]["latents"] == 0
    few, same = rows["student of few steps"], rows["teacher, the student's number"]
    assert (few["steps"], few["passes"], same["passes"]) == (2, 2, 4)
    assert few["latents"] < 0.8 * same["latents"]
    alone = rows["student without guidance"]
    assert alone["passes"] == rows["teacher, its own number"]["passes"] / 2
    assert few["latents"] < rows["teacher, as many passes, no guidance"]["latents"]
    assert few["latents"] < rows["student without guidance, fewer"]["latents"]


def test_trajectories_of_other_scenes_teach_nothing(tiny_bundle, run_folder, tmp_path):
    """The control: the same run on points that belong to other noise and other wishes."""
    config = replace(config_of(tiny_bundle), trajectories=replace(config_of(tiny_bundle).trajectories))
    assert run_distil(config, tmp_path, ("trajectories",))
    (path,) = (tmp_path / "trajectories").glob("*-points.npy")
    points = np.load(path, mmap_mode="r+")
    points[:, 1:] = np.roll(points[:, 1:], 5, 0)
    points.flush()
    assert run_distil(config, tmp_path)
    assert (
        rows_of(tmp_path)["student of few steps"]["latents"]
        > 2 * rows_of(run_folder)["student of few steps"]["latents"]
    )


def test_trajectories_are_the_teachers_own_and_come_whole_or_not(tiny_bundle, run_folder):
    config, teacher = config_of(tiny_bundle), load_teacher(str(tiny_bundle))
    (kind,) = teacher.kinds
    some = open_trajectories(run_folder / "trajectories", config.trajectories, teacher)[kind]
    given, wishes = draw_scenes(teacher, kind, [config.trajectories.seed + 3])
    assert np.array_equal(given[0], some.given[3]) and wishes[0] == some.wishes[3]
    start = torch.from_numpy(some.points[3:4, 0].copy()).float()
    again = solve(teacher, teacher.inputs(given, wishes, unasked=True), start, 4, 4)
    assert (again[0] - torch.from_numpy(some.points[3].copy()).float()).abs().max() < 0.02
    with pytest.raises(ValueError, match="another set of trajectories: items is 32, asked for 33"):
        open_trajectories(run_folder / "trajectories", replace(config.trajectories, items=33), teacher)


def test_a_photo_alone_is_among_what_a_student_learns():
    """Neither controls nor words: what `sample_controls` by itself draws of three scenes in a thousand."""
    teacher = load_teacher(str(SHIPPED))
    given, wishes = draw_scenes(teacher, "1:1", range(840_000_000, 840_000_150))
    bare = [row for row, wish in enumerate(wishes) if wish["controls"][::2] == ["auto", "auto"] and not wish["prompt"]]
    assert 0.06 < len(bare) / len(wishes) < 0.2
    asked = teacher.inputs(given[:1], [wishes[bare[0]]], unasked=True)
    assert torch.equal(asked.ids_BK[0], asked.ids_BK[1]) and torch.equal(asked.text_BMC[0], asked.text_BMC[1])


def test_a_run_that_was_broken_off_ends_with_the_same_bits(tiny_bundle, tmp_path, monkeypatch):
    config = config_of(tiny_bundle, learning=6)
    config = replace(config, few_steps=replace(config.few_steps, save_every=2), compared=2, reference_steps=2)
    assert run_distil(config, tmp_path / "whole")
    for stage, broken_at in (("guidance", 3), ("few_steps", 5)):
        module, calls = "trainer.distil." + stage + "_loss", []
        true = getattr(__import__("trainer.distil", fromlist=["x"]), stage + "_loss")

        def breaks(*args, true=true, calls=calls, broken_at=broken_at):
            calls.append(1)
            if len(calls) == broken_at:
                raise KeyboardInterrupt
            return true(*args)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, breaks)
            run_distil(config, tmp_path / "broken")
    assert run_distil(config, tmp_path / "broken")
    teacher = load_teacher(str(tiny_bundle))
    for run_of in (guidance_run, few_steps_run):
        one, other = (run_of(config, tmp_path / name, teacher) for name in ("whole", "broken"))
        assert all(torch.equal(value, other.average[key]) for key, value in one.average.items())


def test_the_bundle_says_guidance_and_steps_and_the_engine_follows(tiny_bundle, run_folder, tmp_path, capsys):
    sampling = read_bundle(tiny_bundle).capabilities["sampling"]
    bundle = export_distil(config_of(tiny_bundle), run_folder, tmp_path / "few", version="2", command="distil")
    assert bundle.capabilities["sampling"] == {**sampling, "guidance": 1.0, "steps": 2}
    assert bundle.provenance["base"] == read_bundle(tiny_bundle).identity
    assert bundle.provenance["config"]["films"]["scenes"] == 3
    assert "| student of few steps | 2 | 2 |" in (bundle.path / "README.md").read_text()
    with pytest.raises(BundleError, match=r"has no file multimodal_dit\.json"):
        LatentVideo(bundle, "multimodal")  # is not distilled, and would be sampled wrongly
    model, rows = LatentVideo(bundle), []
    model.dit.register_forward_hook(lambda module, args, made: rows.append(len(args[0])))
    list(model.denoise("a red cup", height=32, width=32, frames=5))
    assert rows == [1, 1]
    out = ["-o", str(tmp_path / "a.mp4"), "--prompt", "a red cup", "--json", "--seed", "1"]
    for path, extra, steps in ((bundle.path, [], 2), (bundle.path, ["--steps", "3"], 3), (tiny_bundle, [], 12)):
        assert engine_main(["generate", *out, "--bundle", str(path), *extra]) == 0
        assert json.loads(capsys.readouterr().out)["settings"]["steps"] == steps


def test_a_comparison_counts_only_for_what_it_was_made_of(tiny_bundle, run_folder, tmp_path):
    shutil.copytree(run_folder, tmp_path / "run")
    config, folder = config_of(tiny_bundle), tmp_path / "run"
    runs = students_of(config, folder, load_teacher(str(tiny_bundle)))
    assert comparison_of(config, folder, runs) == read_comparison(run_folder)
    assert comparison_of(replace(config, reference_steps=2), folder, runs) is None
    less = {**read_comparison(folder), "trained": {"guidance": 120, "few_steps": 119}}
    (folder / COMPARISON).write_text(json.dumps(less))
    assert comparison_of(config, folder, runs) is None
    bundle = export_distil(config, folder, tmp_path / "few", version="2", command="distil")
    assert "comparison" not in bundle.provenance, "figures of another student"
    assert run_distil(replace(config, compared=2, reference_steps=2), folder, ("comparison",))
    found = read_comparison(folder)
    assert found["scenes"] == 2 and found["trained"] == {"guidance": 120, "few_steps": 120}


def test_a_distillation_begins_at_its_base_alone(tiny_bundle, tmp_path, capsys):
    words = ["--set", f"base={tiny_bundle}", "--from", str(tiny_bundle), "--out", str(tmp_path / "run")]
    assert main(["run", "distil_smoke", *words]) == 2
    assert f"distil_smoke begins at its base: --set base={tiny_bundle}, not --from" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_student_without_guidance_may_be_exported_too(tiny_bundle, run_folder, tmp_path):
    config = replace(config_of(tiny_bundle), exported="guidance")
    bundle = export_distil(config, run_folder, tmp_path / "one", version="2", command="distil")
    assert bundle.capabilities["sampling"] == {**read_bundle(tiny_bundle).capabilities["sampling"], "guidance": 1.0}


def test_a_bundle_that_moves_a_photo_goes_the_whole_way(tmp_path, capsys):
    settings = [f"base={SHIPPED}", "steps=4", "trajectories.items=2", "compared=4", "reference_steps=4"]
    for stage in ("guidance", "few_steps"):
        settings += [f"{stage}.steps=1"]
    words = [word for setting in settings for word in ("--set", setting)]
    run, out, photo = tmp_path / "run", tmp_path / "bundle", write_photos(tmp_path / "photos", 1) / "0.png"
    assert main(["run", "distil_smoke", *words, "--out", str(run)]) == 0
    assert main(["export", "distil_smoke", "--out", str(run), "--bundle", str(out), "--version", "9"]) == 0
    bundle = read_bundle(out)
    assert bundle.capabilities["image_to_video"]["defaults"]["steps"] == bundle.capabilities["sampling"]["steps"] == 4
    assert rows_of(run)["teacher, the reference"]["moves"] > 0
    capsys.readouterr()
    asked = ["--seconds", "3", "--short-side", "540", "--json", "--bundle", str(out)]
    assert engine_main(["generate", str(photo), "-o", str(tmp_path / "a.mp4"), *asked]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["steps"] == 4


@pytest.mark.parametrize(
    "settings, says",
    [
        ([], "Say which bundle is meant"),
        (["base=BASE", "steps=3"], "3 steps cannot skip evenly over 4 points"),
        (["base=BASE", "trajectories.points=3"], "cannot skip evenly over 3 points"),
        (["base=BASE", "trajectories.steps=6"], "4 points cannot be kept evenly of 6 steps"),
        ([f"base={SHIPPED}", "steps=2"], "is asked for 4 steps at least, not 2"),
        (["base=BASE", "guidance.batch=9"], "A batch of the stage guidance takes 9 items, and there will be 4"),
    ],
)
def test_mistakes_are_sentences(tiny_bundle, tmp_path, capsys, settings, says):
    words = [word for one in settings for word in ("--set", one.replace("BASE", str(tiny_bundle)))]
    assert main(["run", "distil_smoke", *words, "--out", str(tmp_path / "run")]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.glob("run/*")), "whoever corrects the call may keep the folder"
