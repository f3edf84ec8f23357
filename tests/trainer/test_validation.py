"""The held-out error while a stage learns: it changes no bit of the training, and is the same numbers however the run
went.
"""

import json
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from datapipe.shards import ShardSet
from engine.bundles import read_bundle
from tests.trainer.tiny_run import TinyConfig, live, loss_of, make, run_tiny, samples, validation_of, with_loop
from trainer import large, tiny_video, validation
from trainer.__main__ import main
from trainer.compare import compare, held_out_table
from trainer.encode import encode
from trainer.film_shards import write_films
from trainer.log import HELD_OUT, Log
from trainer.loop import Run, train
from trainer.recipes.large import LargeVideoConfig
from trainer.recipes.single_dit_2b import single_dit_2b, single_dit_2b_smoke
from trainer.recipes.tiny_video import tiny_video_smoke
from trainer.settings import configuration
from trainer.shard_held_out import kept_back, shard_validation
from trainer.validation import measure

MEASURED, PLAIN = with_loop(validate_every=3), with_loop()


def rows(folder: Path, stage: str = "stage") -> list[dict]:
    return Log(folder / stage / HELD_OUT).rows()


def state(run: Run) -> dict[str, torch.Tensor]:
    found = {f"net.{name}": value.clone() for name, value in run.net.state_dict().items()}
    found |= {f"average.{name}": value.clone() for name, value in run.average.items()}
    for name, parameter in run.net.named_parameters():
        found |= {f"optimiser.{name}.{key}": value for key, value in run.optimiser.state[parameter].items()}
    return found


def same_training(first: Path, second: Path) -> bool:
    ours, theirs = (make(PLAIN, folder) for folder in (first, second))
    one, two = state(ours), state(theirs)
    alike = one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    return alike and ours.steps_log.rows() == theirs.steps_log.rows() and samples(first) == samples(second)


def test_a_run_that_is_measured_learns_the_same_bits(tmp_path, monkeypatch):
    torch.manual_seed(1)
    assert run_tiny(PLAIN, tmp_path / "plain", ())
    torch.manual_seed(2)
    assert run_tiny(MEASURED, tmp_path / "measured", ())
    assert same_training(tmp_path / "plain", tmp_path / "measured")
    assert [row["step"] for row in rows(tmp_path / "measured")] == [3, 6, 9, 12, 15, 16]
    assert rows(tmp_path / "plain") == []

    @contextmanager
    def left_in(self):
        self.use_average()
        yield

    monkeypatch.setattr(Run, "with_average", left_in)
    assert run_tiny(MEASURED, tmp_path / "control", ())
    assert not same_training(tmp_path / "plain", tmp_path / "control"), "weights that were not put back are told"


def test_a_run_that_was_stopped_logs_the_same_errors(tmp_path):
    assert run_tiny(MEASURED, tmp_path / "whole", ())
    run = make(MEASURED, tmp_path / "cut")
    loss = loss_of(MEASURED, tmp_path / "cut", run)

    def until(batch, draws):
        if batch == 10:  # the last checkpoint is of step 8, and the error of step 9 is measured again
            raise KeyboardInterrupt
        return loss(batch, draws)

    with pytest.raises(KeyboardInterrupt):
        train(run, until, validation=validation_of(run))
    assert [row["step"] for row in rows(tmp_path / "cut")] == [3, 6, 9]
    torch.manual_seed(99)
    assert run_tiny(MEASURED, tmp_path / "cut", ())
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_a_killed_process_logs_the_same_errors(tmp_path):
    assert run_tiny(MEASURED, tmp_path / "whole", ())
    assert live(replace(MEASURED, plant="kill", at=10), tmp_path / "cut") == [-9]
    assert live(MEASURED, tmp_path / "cut") == [0]
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def error(config: TinyConfig, folder: Path) -> dict[str, float]:
    run = make(config, folder)
    before = state(run)
    found = measure(run, validation_of(run))
    assert all(torch.equal(before[name], value) for name, value in state(run).items())
    assert all(module.training for module in run.net.modules())
    return found


def test_two_ranks_find_the_numbers_of_one(ranks, tmp_path):
    assert run_tiny(MEASURED, tmp_path, ())
    alone = error(MEASURED, tmp_path)
    assert alone == {name: value for name, value in rows(tmp_path)[-1].items() if name not in ("step", "of")}
    assert ranks(2).run(error, with_loop(checkpoints="sync"), tmp_path) == [alone, alone]
    assert ranks(2).run(error, with_loop(checkpoints="sync", seed=4), tmp_path / "new") != [alone, alone]


def test_worse_weights_have_a_larger_error_and_other_noise_another(tmp_path, monkeypatch):
    assert run_tiny(MEASURED, tmp_path, ())
    errors = [row["loss"] for row in rows(tmp_path)]
    assert errors == sorted(errors, reverse=True), "the toy learns from measurement to measurement"
    run = make(MEASURED, tmp_path)
    measured = measure(run, validation_of(run))
    with torch.no_grad():
        for value in run.net.parameters():
            value.mul_(-3)
    assert measure(run, validation_of(run)) == measured, "the weights of the last step play no part"
    for value in run.average.values():
        value.mul_(-3)
    assert measure(run, validation_of(run))["loss"] > 2 * measured["loss"], "the averaged ones do"
    for value in run.average.values():
        value.div_(-3)
    assert measure(run, validation_of(run)) == pytest.approx(measured, rel=1e-4)
    monkeypatch.setattr(validation, "NOISE", 1)
    assert measure(run, validation_of(run))["loss"] != pytest.approx(measured["loss"], rel=1e-4)


def test_a_stage_without_held_out_samples_says_so(tmp_path):
    run = make(MEASURED, tmp_path)
    with pytest.raises(ValueError, match="stage stage has no held-out samples: set its validate_every to 0"):
        train(run, loss_of(MEASURED, tmp_path, run))
    with pytest.raises(ValueError, match="or 0 for never: not -1"):
        with_loop(validate_every=-1)


def test_two_runs_side_by_side_show_their_errors(tmp_path, capsys):
    for name, seed in (("one", 3), ("two", 4)):
        words = ["--set", "loop.validate_every=4", "--set", f"loop.seed={seed}"]
        assert main(["run", "tiny", "--out", str(tmp_path / name), *words, "--set", "loop.tensorboard=true"]) == 0
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(["compare", str(one), str(two), "--plot", str(tmp_path / "with.png")]) == 0
    said = capsys.readouterr().out
    assert "held-out error, on the same samples" in said and f"{rows(two)[-1]['loss']:.6g}" in said
    (two / "stage" / HELD_OUT).write_text((two / "stage" / HELD_OUT).read_text().replace('"of": "', '"of": "x'))
    [stage] = compare(one, two)
    assert "NOT comparable" in held_out_table(stage, ("one", "two")).title
    (one / "stage" / HELD_OUT).unlink()
    [stage] = compare(one, two)
    assert held_out_table(stage, ("one", "two")) is None
    assert main(["compare", str(one), str(one), "--plot", str(tmp_path / "without.png")]) == 0
    assert (tmp_path / "with.png").read_bytes() != (tmp_path / "without.png").read_bytes()


# --- the recipes ---

SMOKE = tiny_video_smoke()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    assert tiny_video.run_tiny_video(SMOKE, folder, ("bank", "text", "video_vae", "latents"))
    return folder


def test_tiny_video_measures_unseen_films_and_learns_the_same_bits(tiny):
    assert tiny_video.run_tiny_video(SMOKE, tiny, ("single_dit",))
    [row] = rows(tiny, "single_dit")
    assert row["step"] == 2 and len([name for name in row if name.startswith("at_0.")]) == validation.POINTS
    measured = tiny_video.single_dit_run(SMOKE, tiny)
    (tiny / "single_dit").rename(tiny / "measured")
    plain = replace(SMOKE, dit_loop=replace(SMOKE.dit_loop, validate_every=0))
    assert tiny_video.run_tiny_video(plain, tiny, ("single_dit",))
    assert rows(tiny, "single_dit") == []
    other = state(tiny_video.single_dit_run(plain, tiny))
    assert all(torch.equal(value, other[name]) for name, value in state(measured).items())


@pytest.mark.parametrize(
    ("recipe", "setting", "says"),
    [
        ("tiny_video_smoke", "films.seed=930000000", r"Scenes from 900,000,000 on are held out"),
        ("nano_smoke", "bank.seed=870000000", "go up to 900,000,003: lower bank.seed"),
        ("nano_smoke", "closeups.seed=899999993", "closeups go up to 900,000,000: lower closeups.seed"),
        ("nano_smoke", "vae.validate_every=5", "The stage motion_vae has no held-out samples"),
        ("tiny_video_smoke", "text_loop.validate_every=5", "The stage text has no held-out samples"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_made(tmp_path, capsys, recipe, setting, says):
    assert main(["run", recipe, "--out", str(tmp_path), "--set", setting]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


LARGE = replace(single_dit_2b_smoke(), held_out=3)
LARGE = replace(LARGE, loop=replace(LARGE.loop, validate_every=5))


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiny_bundle) -> Path:
    folder = tmp_path_factory.mktemp("large")
    write_films(folder / "films", [(32, 32), (40, 24), (16, 32)], scenes=18, motions=1)
    films = ShardSet(folder / "films")
    assert encode(read_bundle(tiny_bundle), films, folder / "data", [stage.grids for stage in LARGE.stages])
    return folder / "data"


def learnt(config, shards: ShardSet) -> set[int]:
    schedule = large.schedule_of(config, shards)
    return {int(shards.facts(int(item))["film"]) for number in range(60) for item in schedule.batch(number).items}


def test_no_step_of_a_large_recipe_takes_what_is_held_out(data):
    shards = ShardSet(data)
    kept = kept_back(LARGE, shards)
    assert len(kept) == 3 and kept == kept_back(LARGE, shards) != kept_back(replace(LARGE, seed=1), shards)
    assert learnt(LARGE, shards) == set(range(18)) - kept
    assert learnt(replace(LARGE, held_out=0), shards) >= kept, "the control"
    assert single_dit_2b().held_out and single_dit_2b().loop.validate_every, "its real size is measured"


def test_a_large_run_is_measured_and_an_older_one_does_not_change_what_it_learns_from(data, tmp_path, capsys):
    words = ["--out", str(tmp_path), "--set", f"data={data}", "--set", "loop.validate_every=5"]
    assert main(["run", "single_dit_2b_smoke", *words]) == 2
    assert "set held_out, or loop.validate_every to 0" in capsys.readouterr().err
    assert main(["run", "single_dit_2b_smoke", *words, "--set", "held_out=18"]) == 2
    assert "held_out is 18, of the 18 films" in capsys.readouterr().err
    assert main(["run", "single_dit_2b_smoke", *words, "--set", "held_out=3"]) == 0
    assert "held out" in capsys.readouterr().out
    assert [row["step"] for row in rows(tmp_path, "single_dit")] == [5, 10]
    assert main(["run", "single_dit_2b_smoke", *words[:4]]) == 2
    assert "data.held_out is 3, asked for None" in capsys.readouterr().err


def test_a_large_run_from_before_there_was_a_choice_keeps_nothing_back():
    kept = json.loads(json.dumps(asdict(single_dit_2b())))
    del kept["held_out"], kept["loop"]["validate_every"]
    resumed = configuration(LargeVideoConfig, kept)
    assert resumed.held_out == resumed.loop.validate_every == 0
    assert configuration(LargeVideoConfig, asdict(single_dit_2b())).held_out > 0, "the control"


def large_error(config, data: Path, folder: Path) -> dict[str, float]:
    shards = ShardSet(data)
    run = large.dit_run(replace(config, data=str(data)), folder, shards)
    before = state(run)
    found = measure(run, shard_validation(config, run.modules["single_dit"], shards))
    assert all(torch.equal(before[name], value) for name, value in state(run).items())
    assert found == measure(run, shard_validation(config, run.modules["single_dit"], shards))
    return found


OTHER_AXES = [pytest.param(axis, marks=pytest.mark.full) for axis in ("replicate", "pipe", "ulysses", "tensor")]


@pytest.mark.parametrize("axis", ["shard", *OTHER_AXES])
def test_every_layout_finds_the_numbers_of_one_process(data, ranks, tmp_path, axis):
    alone = large_error(LARGE, data, tmp_path)
    spread = replace(LARGE, layout=replace(LARGE.layout, **{axis: 2}))
    first, second = ranks(2).run(large_error, spread, data, tmp_path)
    assert first == second == pytest.approx(alone, rel=1e-3)
    other = replace(LARGE, held_out=4)
    assert large_error(other, data, tmp_path / "other") != pytest.approx(alone, rel=1e-3), "the control"


@pytest.mark.parametrize("axis", ["shard", *OTHER_AXES])
def test_a_layout_that_is_measured_learns_the_same_losses(data, ranks, tmp_path, axis):
    spread = replace(LARGE, data=str(data), layout=replace(LARGE.layout, **{axis: 2}))
    logs = []
    for every in (0, 1):
        config = replace(spread, loop=replace(LARGE.loop, validate_every=every))
        assert ranks(2).run(large.run_large, config, tmp_path / str(every)) == [True, True]
        logs.append(Log(tmp_path / str(every) / "single_dit" / "steps.jsonl").rows())
    assert logs[0] == logs[1] != []
    assert len(rows(tmp_path / "1", "single_dit")) == len(logs[0])
