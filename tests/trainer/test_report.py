"""What the progress bar and TensorBoard say of speed is what torch counts, whatever the layout."""

from dataclasses import replace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.flop_counter import FlopCounterMode

from engine.attention.dispatch import Attention, use
from tests.engine.parallel.cases import inputs_of, model_of
from tests.trainer import tiny_run
from tests.trainer.parallel import loop_cases
from tests.trainer.test_resume import stop_after
from trainer.faults import FaultsConfig
from trainer.log import Log
from trainer.loop import Run, train
from trainer.meter import Meter, Work
from trainer.parallel.layout import Layout
from trainer.parallel.memory import Memory, save_memory
from trainer.plan.devices import peak_of
from trainer.report import _told

ROWS = 3


def given(name: str, length: str = "odd"):
    model = model_of(name, torch.float32)
    use(model, Attention(dict.fromkeys(("self", "cross", "joint"), "plain")))
    return model, inputs_of(length, ROWS, torch.float32)


def counted(model, inputs) -> int:
    with FlopCounterMode(display=False) as counter:
        made = model(**inputs)
        sum(one.square().mean() for one in made).backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("name", ["single", "multimodal"])
@pytest.mark.parametrize("recompute", ["none", "full"])
def test_a_call_is_counted_as_torch_counts_it(name, recompute):
    model, inputs = given(name)
    save_memory(model, Memory(recompute))
    meter = Meter({"dit": model}, recompute)
    torch_counts = counted(model, inputs)
    done = meter.take()
    assert done.hardware == torch_counts
    assert done.tokens == ROWS * 31
    assert meter.take() == Work()
    with torch.no_grad():
        model(**inputs)
    assert meter.take() == Work(), "nothing is learnt from it"
    other = Meter({"dit": model}, {"none": "full", "full": "none"}[recompute])
    counted(model, inputs)
    assert other.take().hardware != torch_counts, "the control: another policy does other work"
    assert meter.take().model == done.model, "what the model needs is the same under any"


def test_a_packed_row_is_counted_sample_by_sample():
    model, inputs = given("single", "packed")
    meter = Meter({"dit": model}, "none")
    model(**inputs)
    together, tokens = meter.take(), [3 * 2 * 3, 1, 5 * 1 * 3]
    for i in range(ROWS):
        rows = {name: value[i : i + 1] for name, value in inputs.items() if name != "tokens"}
        model(**rows, tokens={"audio": inputs["tokens"]["audio"][i : i + 1]})
    assert meter.take() == together
    assert together.tokens == sum(tokens)


def test_what_is_told_is_work_over_time(tmp_path):
    told = scalars(tmp_path, peak_tflops=0.001)
    assert told["tokens_per_second"] / told["steps_per_second"] == pytest.approx(ROWS * 31)
    assert told["mfu"] == pytest.approx(told["flops_per_second"] / 1e9)
    assert told["hfu"] == pytest.approx(told["mfu"], rel=0.1)
    assert told["hfu"] != told["mfu"]
    assert told["seconds_left"] == pytest.approx(2 / told["steps_per_second"])


def test_without_a_known_peak_operations_are_told(tmp_path):
    told = scalars(tmp_path)
    assert "mfu" not in told and told["flops_per_second"] > 0
    assert _told(told).endswith("GFLOP/s")
    assert "% MFU" in _told({**told, "mfu": 0.4, "hfu": 0.5}) and "GFLOP" not in _told({**told, "mfu": 0.4})


def test_other_models_tell_no_tokens(tmp_path):
    told = scalars(tmp_path, modules={"line": torch.nn.Linear(2, 1)})
    assert told["steps_per_second"] > 0 and not {"tokens_per_second", "flops_per_second", "mfu"} & set(told)


def scalars(folder, modules=None, **settings) -> dict[str, float]:
    """The values of the fourth step of six."""
    model, inputs = given("single")
    config = replace(loop_cases.CONFIG, steps=6, log_every=2, tensorboard=True, **settings)
    run = Run(folder / "stage", modules or {"dit": model}, replace(config, batch=ROWS))

    def loss(batch, draws):
        if modules:
            return run.net["line"](torch.ones(1, 2)).float().sum(), {}
        return model(**inputs).float().square().mean(), {}

    assert train(run, loss)
    return read(folder, 4)


def read(folder, step: int) -> dict[str, float]:
    return {tag: dict(values)[step] for tag, values in curves(folder).items()}


def curves(folder) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of each curve, in the order in which TensorBoard draws them."""
    board = EventAccumulator(str(folder / "stage" / "tensorboard"))
    board.Reload()
    return {tag: [(e.step, e.value) for e in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


def logged(log: Log) -> list[tuple[int, float]]:
    return [(row["step"], pytest.approx(row["loss"])) for row in log.rows()]


TOLD = tiny_run.with_loop(tensorboard=True, log_every=1, validate_every=3)


def test_a_run_that_went_back_shows_the_steps_that_it_has(tmp_path):
    config = tiny_run.with_loop(TOLD, faults=FaultsConfig(spike=20.0, window=4, in_a_row=3))
    assert tiny_run.run_tiny(replace(config, plant="spike", at=10), tmp_path, ())
    run, shown = tiny_run.make(config, tmp_path), curves(tmp_path)
    assert shown["loss"] == logged(run.log)
    assert shown["held_out/loss"] == logged(run.held_out_log)
    assert [step for step, _ in shown["loss"]] == list(range(1, 17)), "though steps 9 and 10 were made twice"


def test_a_run_that_goes_on_from_before_a_kill_shows_the_steps_that_it_has(tmp_path):
    """Also before it tells anything, and where it tells of other steps than before."""
    stop_after(TOLD, tmp_path, 11)
    assert [step for step, _ in curves(tmp_path)["loss"]] == list(range(1, 12))
    rarer = tiny_run.with_loop(TOLD, log_every=5, validate_every=0)
    assert tiny_run.run_tiny(rarer, tmp_path, (), minutes=0) is False
    for last in (8, 16):
        run, shown = tiny_run.make(rarer, tmp_path), curves(tmp_path)
        assert run.step == last
        assert shown["loss"] == logged(run.log)
        assert shown["held_out/loss"] == logged(run.held_out_log)
        assert tiny_run.run_tiny(rarer, tmp_path, ())


@pytest.mark.parametrize(("rows", "predicted"), [(4, 1.0), (3, 4 / 3)])
def test_how_even_the_ranks_are_is_predicted_beside_what_is_measured(ranks, tmp_path, rows, predicted):
    ranks(2).run(loop_cases.told, str(tmp_path), rows)
    found = read(tmp_path, 2)
    assert found["predicted_slowest_over_mean"] == pytest.approx(predicted)
    assert 1 <= found["slowest_over_mean"] < 2
    assert " predicted" in _told(found)


@pytest.mark.parametrize("layout", [Layout(shard=2), Layout(tensor=2)], ids=str)
def test_work_is_the_same_over_any_layout(ranks, layout):
    alone = loop_cases.worked(Layout())
    assert ranks(2).run(loop_cases.worked, layout) == [alone, alone]
    wrong = ranks(2).run(loop_cases.worked, layout, 2)
    assert wrong != [alone, alone], "the control: ranks are taken to share samples, or not to, wrongly"


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA H200", 989.4),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA B200", 2250),
        ("NVIDIA GB200", 2500),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA H200 NVL", None),
        ("Tesla T4", None),
    ],
)
def test_peaks_are_those_of_data_sheets(device, peak):
    assert peak_of(device) == peak
