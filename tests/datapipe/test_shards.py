"""What was written is read, a kill loses no whole shard, what is torn or altered is refused by name; one order."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datapipe.shards import ShardError, ShardSet, ShardWriter, draw
from tests.datapipe import shard_cases as cases

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "whole"
    cases.write(folder)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for name, content in cases.files(whole).items():
        (folder / name).write_bytes(content)
    return folder


def test_what_was_written_is_read(whole):
    shards = ShardSet(whole)
    assert len(shards) == cases.COUNT
    assert [len(index.rows) for index in shards.indexes] == [5, 5, 5, 5, 3]
    for number in range(cases.COUNT):
        record, wanted = shards[number], cases.values_of(number)
        assert record.facts == shards.facts(number) == cases.facts_of(number)
        assert record.values["clip"] == wanted["clip"]
        for name in ("fixed", "odd"):
            np.testing.assert_array_equal(record.values[name], wanted[name])
            assert record.values[name].dtype == wanted[name].dtype
        assert shards.shapes(number)["odd"] == wanted["odd"].shape
    with pytest.raises(IndexError, match="no record 23"):
        shards[cases.COUNT]


def test_values_lie_in_the_mapped_file_and_cannot_be_written_to(whole):
    record = ShardSet(whole)[7]
    assert not record.values["fixed"].flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        record.values["fixed"][0] = 1


def test_a_writer_killed_at_any_moment_goes_on_to_the_same_bytes(whole, tmp_path):
    points, wanted = 0, cases.files(whole)
    while cases.killed(tmp_path / f"{points + 1}", points + 1):
        points += 1
    assert points == 36, "before each sync and each renaming of five shards, of what the set is and of its end"
    for at in range(1, points):
        folder = tmp_path / f"{at}"
        before = cases.files(folder)
        with pytest.raises(ShardError, match=r"not finished|holds no set.json"):
            ShardSet(folder)
        indexes = [name for name in before if name.endswith("index") and not name.startswith(".")]
        assert all(before[name] == wanted[name] for name in indexes)
        cases.write(folder)
        assert cases.files(folder) == wanted
    assert cases.files(tmp_path / f"{points}") == wanted, "the last kill comes when all is renamed"


def test_control_a_writer_that_names_the_index_first_is_found(whole, tmp_path):
    found, at = 0, 1
    while cases.killed(tmp_path / str(at), at, backwards=True):
        try:
            cases.write(tmp_path / str(at))
        except ShardError as error:
            found += "torn" in str(error)
        at += 1
    assert found > 3


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("000002.bin", lambda raw: raw[:-1], "000002.bin has 1087 bytes and should have 1088: it is torn"),
        ("000002.bin", None, "000002.bin is missing"),
        ("000003.index", lambda raw: raw.replace(b"cup", b"cap"), "000003.index is torn or altered"),
        ("000003.index", lambda raw: raw[: len(raw) // 2], "000003.index is torn or altered"),
        ("000001.index", None, "shard 000001 of .* has no index"),
        ("set.json", lambda raw: raw.replace(b'"a"', b'"b"'), "not those of its set.json"),
        ("set.json", lambda raw: raw[:-9], "set.json is torn or altered"),
        ("set.json", lambda raw: raw.replace(b"shards/1", b"shards/9"), "no set of aquarius-shards/1"),
    ],
)
def test_a_torn_or_altered_set_is_refused_by_name(copy, name, change, says):
    content = (copy / name).read_bytes()
    (copy / name).unlink()
    if change is not None:
        (copy / name).write_bytes(change(content))
    with pytest.raises(ShardError, match=says):
        ShardSet(copy)


def test_an_altered_record_is_refused_where_it_is_read(copy):
    content = bytearray((copy / "000001.bin").read_bytes())
    content[70] ^= 1
    (copy / "000001.bin").write_bytes(content)
    shards = ShardSet(copy)
    assert shards[4].number == 4, "the control: another shard is as it was"
    altered = [number for number in range(5, 10) if not reads(shards, number)]
    assert len(altered) == 1
    with pytest.raises(ShardError, match=r"Record \d of the shard .*000001.bin is altered"):
        shards.verify()


def reads(shards: ShardSet, number: int) -> bool:
    try:
        shards[number]
    except ShardError:
        return False
    return True


def test_shards_of_another_set_are_not_taken_for_those_of_this(copy, tmp_path):
    with ShardWriter(tmp_path / "other", cases.ABOUT, records=5) as shards:
        for number in range(cases.COUNT):
            shards.add(cases.values_of(number), {"other": number})
        shards.finish()
    for name in ("000001.bin", "000001.index"):
        (copy / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(ShardError, match=r"not those of its set.json"):
        ShardSet(copy)


def test_who_may_write(copy, tmp_path):
    with pytest.raises(ShardError, match="is finished"), ShardWriter(copy, cases.ABOUT):
        pass
    new = tmp_path / "new"
    with ShardWriter(new, {"key": "a"}) as shards:
        with pytest.raises(ShardError, match="Another process writes"), ShardWriter(new, {"key": "a"}):
            pass
        with pytest.raises(ValueError, match="x holds Python objects"):
            shards.add({"x": np.array([None])})
        with pytest.raises(ValueError, match="what JSON can hold"):
            shards.add({}, {"x": float("nan")})
        with pytest.raises(ShardError, match="without a record"):
            shards.finish()
    with pytest.raises(ShardError, match=r'about {"key": "a"}, not about {"key": "b"}'), ShardWriter(new, {"key": "b"}):
        pass
    with pytest.raises(ShardError, match="not finished"):
        ShardSet(new)


def test_a_shard_is_cut_by_size_too(tmp_path):
    with ShardWriter(tmp_path, {}, size=1000) as shards:
        for _ in range(5):
            shards.add({"x": np.zeros(100, np.float32)})
        shards.finish()
    assert [len(index.rows) for index in ShardSet(tmp_path).indexes] == [2, 2, 1]


# --- the order ---


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 65, 1000])
def test_every_epoch_draws_each_record_once(size):
    three = draw(3, size, np.arange(3 * size)).reshape(3, size)
    assert (np.sort(three, 1) == np.arange(size)).all()


def test_the_order_is_of_seed_and_epoch_and_the_same_everywhere():
    first = draw(3, 1000, np.arange(2000))
    assert (draw(3, 1000, np.arange(500, 700)) == first[500:700]).all()
    assert len({tuple(first[:1000]), tuple(first[1000:]), tuple(draw(4, 1000, np.arange(1000)))}) == 3
    assert first[:6].tolist() == [840, 786, 959, 863, 103, 47], "another version would begin another order"


def test_the_order_is_even_and_a_weak_one_is_found():
    def unevenness(order) -> float:
        """Chi-square over 7 of (place, its record's seventh), and of which record follows which."""
        counts = np.zeros((7, 7))
        for epoch in range(2000):
            np.add.at(counts, (np.arange(7), order(epoch)), 1)
        return float(((counts - 2000 / 7) ** 2 / (2000 / 7)).sum())

    limit = 80.0  # 36 degrees of freedom: 1 in 10^4 beyond 76
    assert unevenness(lambda epoch: draw(1, 7, np.arange(7) + 7 * epoch)) < limit
    assert unevenness(lambda epoch: (np.arange(7) * (1 + epoch % 6)) % 7) > limit, "the control"


def drawn(world: int, batches: int, cursor: int) -> tuple[list[list[int]], int]:
    """The numbers of each batch of six, put together from the rows of every rank; and where that ends."""
    rows = [np.arange(6 * rank // world, 6 * (rank + 1) // world) for rank in range(world)]
    starts = range(cursor, cursor + 6 * batches, 6)
    found = [np.concatenate([draw(5, cases.COUNT, start + mine) for mine in rows]).tolist() for start in starts]
    return found, cursor + 6 * batches


def test_a_run_goes_on_in_the_same_order_on_another_number_of_ranks():
    alone, end = drawn(1, 12, 0)
    first, cursor = drawn(3, 5, 0)
    then, last = drawn(2, 7, cursor)
    assert first + then == alone and last == end == 72
    flat = [number for batch in alone for number in batch]
    epochs = [flat[i : i + 23] for i in range(0, 69, 23)]
    assert all(sorted(epoch) == list(range(23)) for epoch in epochs), "what is left over comes first in the next"
    wrong, _ = drawn(2, 7, cursor - 6)
    assert first + wrong != alone, "the control: a stale cursor"


def test_neither_torch_nor_anything_else_of_ours_is_needed(whole):
    code = (
        "import sys; sys.modules['torch'] = None; from datapipe.shards import ShardSet;"
        f"print(len(ShardSet({str(whole)!r})), [m for m in sys.modules if m.startswith(('engine', 'trainer'))])"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout.split(maxsplit=1) == ["23", "[]\n"], done.stderr


def test_the_set_says_what_it_is(whole):
    told = json.loads((whole / "set.json").read_text())
    assert told["about"] == cases.ABOUT and told["digest"] == ShardSet(whole).digest
