"""A group of ranks that something happens to: real processes, real signals. One group of the shipped model for all."""

import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch import Tensor

from engine import __main__ as command_line
from engine.bundles import SHIPPED, read_bundle
from engine.commands.inspect import add_inspect
from engine.denoise import Denoiser, Row
from engine.events import Canceled
from engine.generate import Engine
from engine.parallel.mesh import MeshShape
from engine.requests import ImageToVideo
from engine.runtime import denoise as on_ranks
from engine.runtime.board import Board
from engine.runtime.denoise import GroupDenoiser, engine_on
from engine.runtime.errors import RankDied, RankHangs
from engine.runtime.group import Limits, RankGroup
from engine.runtime.steady import SteadyGroup
from tests.alive import all_end, lives
from tests.engine.runtime.programs import Broken, Misbehaving, Mortal, own_a_group, rows_of

BLOCKS = 6  # of the shipped transformer: checkpoints in a step
LIMITS = Limits(start=60, order=30, preflight=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def alone() -> Denoiser:
    return Denoiser(read_bundle(SHIPPED))


@pytest.fixture(scope="module")
def group() -> Iterator[GroupDenoiser]:
    made = GroupDenoiser(read_bundle(SHIPPED), MeshShape(cfg=2), limits=LIMITS)
    yield made
    made.close()


@pytest.fixture
def misbehaving() -> Iterator[RankGroup]:
    made = RankGroup(Misbehaving, MeshShape(cfg=2), limits=Limits(start=60, order=1.5))
    yield made
    made.close()


def difference(wanted: Tensor, got: Tensor) -> float:
    return float((wanted - got).abs().max() / wanted.abs().max())


def ids(group: RankGroup) -> list[int]:
    assert group.ranks is not None
    return [process.pid or 0 for process in group.ranks.processes]


def kill(group: RankGroup, rank: int, what: signal.Signals = signal.SIGKILL) -> None:
    os.kill(ids(group)[rank], what)


# --- right results ---


def test_two_ranks_denoise_as_one_does(alone: Denoiser, group: GroupDenoiser) -> None:
    rows = rows_of(1)
    wanted, got = list(alone.denoise(rows, 3)), list(group.denoise(rows, 3))

    assert len(wanted) == len(got) == 3
    assert max(map(difference, wanted, got)) < 1e-5
    assert difference(wanted[-1], list(alone.denoise(rows_of(2)[1:], 3))[-1]) > 1e-2  # the control: other rows differ


@pytest.mark.full
@pytest.mark.parametrize(
    "shape",
    [MeshShape(), MeshShape(ulysses=2), MeshShape(ring=2), MeshShape(data=2), MeshShape(cfg=2, ulysses=2)],
    ids=["one", "ulysses2", "ring2", "data2", "cfg2 x ulysses2"],
)
@pytest.mark.parametrize("count", [1, 3])
def test_every_mesh_denoises_as_one_does(alone: Denoiser, shape: MeshShape, count: int) -> None:
    rows = rows_of(count)
    (*_, wanted) = alone.denoise(rows, 3)
    with closing(GroupDenoiser(read_bundle(SHIPPED), shape, limits=LIMITS)) as denoiser:
        (*_, got) = denoiser.denoise(rows, 3)

    assert got.shape == wanted.shape and difference(wanted, got) < 1e-5


@pytest.fixture
def in_float64() -> Iterator[Denoiser]:
    """Float32 rounds by the shape of a batch, and each CPU in its own way: what is left here is no rounding."""
    torch.set_default_dtype(torch.float64)
    made = Denoiser(read_bundle(SHIPPED))
    made.dit.double()
    made.text.double()
    yield made
    torch.set_default_dtype(torch.float32)


def test_a_prompt_is_understood_before_the_ranks_denoise(tmp_path: Path) -> None:
    photo, wish = tmp_path / "photo.png", {"prompt": "the camera pans to the left", "seed": 5, "steps": 4}
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (480, 270, 3)).astype(np.uint8)).save(photo)
    request = ImageToVideo.model_validate({"short_side": 540, **wish})
    with closing(engine_on(read_bundle(SHIPPED), {"cfg": 2})) as engine, closing(Engine.load(None)) as one:
        prepared = engine.prepare(request, photo)
        got, wanted = ([*some.denoise(request, prepared, 5)][-1] for some in (engine, one))
    assert got is not None and wanted is not None
    assert np.abs(got.scene_flow - wanted.scene_flow).max() < 1e-4 < np.abs(wanted.scene_flow).max()


def test_a_batch_is_what_each_of_its_rows_is_alone(in_float64: Denoiser) -> None:
    rows = [replace(row, condition_CTHW=row.condition_CTHW.double()) for row in rows_of(4)]
    (*_, together) = in_float64.denoise(rows, 3)
    (*_, swapped) = in_float64.denoise([*rows[1:], rows[0]], 3)
    each = [list(in_float64.denoise([row], 3))[-1][0] for row in rows]

    assert together.dtype == torch.float64
    assert max(difference(one, row) for one, row in zip(each, together, strict=True)) < 1e-12
    assert min(difference(one, row) for one, row in zip(each, swapped, strict=True)) > 1e-2


def test_a_prompt_that_was_read_before_gives_the_same_bits(alone: Denoiser) -> None:
    row = Row("read me twice", ("auto", 0.6, "auto", 0.6), rows_of(1)[0].condition_CTHW, 5)
    misses, hits = alone.prompts.misses, alone.prompts.hits
    (*_, first) = alone.denoise([row], 2)
    (*_, second) = alone.denoise([row], 2)

    assert (alone.prompts.misses - misses, alone.prompts.hits - hits) == (1, 1)
    assert torch.equal(first, second)


# --- cancel ---


def test_all_ranks_stop_at_a_checkpoint_that_none_has_reached() -> None:
    board = Board(multiprocessing.get_context("spawn"), 2)
    for rank in (0, 0, 0, 1):
        board.checkpoint(rank)
    board.cancel()

    for rank in (1, 1):  # rank 0 passed its second and third: there it may wait for rank 1
        board.checkpoint(rank)
    for rank in (1, 0):
        with pytest.raises(Canceled):
            board.checkpoint(rank)


def test_a_cancel_ends_within_a_step_on_all_ranks_and_the_next_request_is_right(
    group: GroupDenoiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, steps = rows_of(1), 40
    (*_, before) = group.denoise(rows, 2)
    assert group.group.ranks is not None
    board, told, passed = group.group.ranks.board, [], 0
    wish = board.cancel

    def cancel() -> None:
        nonlocal passed
        wish()
        passed = max(one.passed for one in board.doing())

    def visit() -> None:
        if len(told) == 3:
            raise Canceled

    monkeypatch.setattr(board, "cancel", cancel)
    with pytest.raises(Canceled):
        for data in group.denoise(rows, steps, visit):
            told.append(data)
    ended = board.doing()

    assert len({one.passed for one in ended}) == 1  # at the same place
    assert 3 * BLOCKS <= ended[0].passed <= passed + 1 < steps * BLOCKS  # at the next block, which is within the step
    assert {one.operation for one in ended} == {"wait for orders"}
    assert torch.equal(before, list(group.denoise(rows, 2))[-1])


def test_a_reader_that_leaves_cancels(group: GroupDenoiser) -> None:
    steps = group.denoise(rows_of(1), 40)
    next(steps)
    steps.close()

    assert {one.operation for one in group.group.health()} == {"wait for orders"}
    assert group.group.health()[0].passed < 40 * BLOCKS


# --- death ---


def test_a_rank_killed_in_a_step_costs_time_and_no_request(group: GroupDenoiser) -> None:
    rows, told = rows_of(1), []
    wanted, old = list(group.denoise(rows, 6)), ids(group.group)
    killed = 0.0
    for step, data in enumerate(group.denoise(rows, 6), 1):
        told.append(data)
        if step == 2:
            killed = time.monotonic()
            kill(group.group, 1)
        if step == 3:
            whole = time.monotonic() - killed
    after = list(group.denoise(rows, 6))

    assert whole < 30
    assert all(map(torch.equal, wanted, told)) and len(told) == len(wanted)
    assert all(map(torch.equal, wanted, after))
    assert not any(map(psutil.pid_exists, old)) and set(ids(group.group)).isdisjoint(old)


def test_a_request_that_loses_a_rank_twice_fails_with_its_name_and_the_next_is_right(group: GroupDenoiser) -> None:
    rows = rows_of(1)
    (*_, wanted) = group.denoise(rows, 2)
    with pytest.raises(RankDied, match=re.escape("ended with -9: rank 1 in `")):
        for _ in group.denoise(rows, 40):
            kill(group.group, 1)

    assert torch.equal(wanted, list(group.denoise(rows, 2))[-1])


def test_a_rank_that_died_idle_is_replaced_at_the_next_request(group: GroupDenoiser) -> None:
    kill(group.group, 0)
    assert len(list(group.denoise(rows_of(1), 1))) == 1


# --- hanging ---


def test_preflight_names_the_rank_that_does_not_come_and_where_the_others_wait(group: GroupDenoiser) -> None:
    group.group.preflight()  # the control: all come
    kill(group.group, 1, signal.SIGSTOP)
    with pytest.raises(RankHangs) as hangs:
        group.group.preflight()

    behind, others = str(hangs.value).split(" The others: ")
    assert "Behind: rank 1 in `wait for orders`" in behind and "rank 0" not in behind
    assert "rank 0 in `all_reduce over all ranks`" in others
    assert len(list(group.denoise(rows_of(1), 1))) == 1


def test_the_watchdog_names_the_rank_that_hangs_and_what_it_is_in(misbehaving: RankGroup) -> None:
    with pytest.raises(RankHangs, match=r"Behind: rank 1 in `a sleep` .* after 3 checkpoints\. The others: rank 0 in"):
        list(misbehaving.run("hangs", 2))

    assert misbehaving.health() == []
    assert list(misbehaving.run("who"))


def test_an_error_of_one_rank_is_told_as_it_was_and_none_is_left_waiting(misbehaving: RankGroup) -> None:
    with pytest.raises(ValueError, match="upside down") as failed:
        list(misbehaving.run("fails_alone"))

    assert "On rank 1" in failed.value.__notes__[0]
    assert list(misbehaving.run("who"))


def test_a_group_that_cannot_load_says_why() -> None:
    with pytest.raises(ValueError, match="rank 1 are missing"):
        RankGroup(Broken, MeshShape(cfg=2), limits=LIMITS).start()


def test_a_rank_that_dies_while_it_loads_is_started_once_more(tmp_path: Path) -> None:
    with closing(SteadyGroup(partial(Mortal, tmp_path, 1), MeshShape(cfg=2), limits=LIMITS)) as steady:
        assert len(steady.group.health()) == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_ranks_that_cannot_live_are_told_in_a_sentence_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(options: object) -> None:
        """Start ranks."""
        SteadyGroup(partial(Mortal, tmp_path, 2), MeshShape(cfg=2), limits=LIMITS)

    monkeypatch.setitem(command_line.COMMANDS, "inspect", (add_inspect, start))
    assert command_line.main(["inspect"]) == command_line.FAILED
    assert "A rank ended with 9: rank 1 in `load`" in (said := capsys.readouterr().err)
    assert "Traceback" not in said


# --- the end ---


def test_halves_of_guidance_are_not_shared_where_there_are_none() -> None:
    shipped = read_bundle(SHIPPED)
    sampling = shipped.capabilities["sampling"] | {"guidance": 1.0}
    plain = replace(shipped, capabilities=shipped.capabilities | {"sampling": sampling})
    with pytest.raises(ValueError, match="sampled without guidance: leave cfg=2 out of the mesh"):
        GroupDenoiser(plain, MeshShape(cfg=2), limits=LIMITS)


def test_ranks_end_where_the_rest_of_the_engine_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[GroupDenoiser] = []

    def broken(bundle: object, denoiser: GroupDenoiser) -> None:
        made.append(denoiser)
        assert denoiser.group.ranks is not None  # the control: they had started
        raise ValueError("no decoder")

    monkeypatch.setattr(on_ranks, "Engine", broken)
    with pytest.raises(ValueError, match="no decoder"):
        engine_on(read_bundle(SHIPPED), {"cfg": 2})
    assert made[0].group.ranks is None


def test_no_rank_outlives_its_owner() -> None:
    ours, theirs = multiprocessing.Pipe()
    owner = multiprocessing.get_context("forkserver").Process(target=own_a_group, args=(theirs,))
    owner.start()
    try:
        assert ours.poll(240)  # two processes that load torch come to speak late on a busy machine
        ranks = ours.recv()
        assert all(map(lives, ranks))  # the control: they are at work
    finally:
        owner.kill()
        owner.join()
    assert all_end(ranks, seconds=10)


def test_ranks_end_with_the_object_that_has_them() -> None:
    group = RankGroup(Misbehaving, MeshShape(cfg=2))
    group.start()
    ranks = ids(group)
    assert all(map(psutil.pid_exists, ranks))
    del group

    assert not any(map(psutil.pid_exists, ranks))


# --- memory ---

SHAPES = [((10, 6), 1), ((8, 8), 2), ((9, 7), 1), ((6, 10), 3)]


def growth(group: GroupDenoiser, requests: int, visit: Callable[[], None] = lambda: None) -> float:
    """MB that the owner and all ranks hold more after the second half of the requests than after the first."""
    held = []
    for half in range(2):
        for i in range(half * requests // 2, (half + 1) * requests // 2):
            grid, rows = SHAPES[i % len(SHAPES)]
            prompts = [
                Row(f"request {i} {row.prompt}", row.controls, row.condition_CTHW, i) for row in rows_of(rows, grid)
            ]
            for _ in group.denoise(prompts, 1, visit):
                pass
        held.append(sum(psutil.Process(pid).memory_info().rss for pid in [os.getpid(), *ids(group.group)]) / 2**20)
    return max(after - before for before, after in pairwise(held))


@pytest.mark.parametrize("requests", [24, pytest.param(200, marks=pytest.mark.full)])
def test_requests_of_mixed_shapes_leave_memory_flat(group: GroupDenoiser, requests: int) -> None:
    growth(group, 8)  # the first of each shape
    assert growth(group, requests) < 16


def test_what_is_kept_for_ever_is_seen_in_memory(group: GroupDenoiser) -> None:
    kept: list[Tensor] = []
    # 8 MB each: smaller ones may find room in what earlier tests of the process have given back.
    assert growth(group, 24, lambda: kept.append(torch.ones(2**21))) > 16
