"""One process at a time has a folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from trainer.claim import alone
from trainer.data import build_bank
from trainer.films import build_films
from trainer.photos import build_photos
from trainer.pieces import Piece, make_pieces
from trainer.recipes.nano import nano_smoke
from trainer.recipes.tiny_video import tiny_video_smoke

ROOT = Path(__file__).parents[2]
HOLDS = "import sys, time; from pathlib import Path; from trainer.claim import alone\n"
HOLDS += "with alone(Path(sys.argv[1]), 'is in'): print(flush=True); time.sleep(100)"


def test_a_folder_is_another_processes_until_that_ends(tmp_path):
    words = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None and other.stdout.readline()
            with pytest.raises(ValueError, match=f"Another process trains in {tmp_path}: wait for it, or end it"):
                alone(tmp_path, "trains in").__enter__()
            with alone(tmp_path / "beside", "trains in"):
                pass
        finally:
            other.kill()
    with alone(tmp_path, "trains in"):
        assert [path.name for path in tmp_path.iterdir()] == ["beside"], "nothing is left of a lock"


@pytest.mark.parametrize(
    ("build", "config", "does"),
    [
        (build_bank, nano_smoke().bank, "makes clips"),
        (build_photos, nano_smoke().photos, "draws photographs"),
        (build_films, tiny_video_smoke().films, "makes films"),
    ],
)
def test_two_processes_do_not_make_one_bank(tmp_path, build, config, does):
    with alone(tmp_path, "is in"), pytest.raises(ValueError, match=f"Another process {does} in {tmp_path}: wait for"):
        build(tmp_path, config)
    assert not list(tmp_path.rglob("*.npy"))
    assert build(tmp_path, config, deadline=0.0) is False, "the control: it is left"


def test_two_processes_do_not_encode_the_same_pieces(tmp_path):
    with alone(tmp_path, "is in"), pytest.raises(ValueError, match=f"Another process makes samples in {tmp_path}"):
        make_pieces(tmp_path, ["a"], lambda index: Piece({}), "samples")
