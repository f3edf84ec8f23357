"""A VAE over ranks is the VAE alone: real gloo processes, space and time, both kinds of Wan VAE."""

import pytest
import torch

from tests.engine.parallel import vae_cases as cases

EXACT = {torch.float64: 1e-10, torch.float32: 1e-5}
WRONG = 1e-3  # what a planted fault has to exceed
CODINGS = ["encode", "decode"]
CONFIGS = list(cases.CONFIGS)
WAYS = ["rows", "columns", "time"]


def named(value):
    return str(value).removeprefix("torch.")


def worst(ranks, world, *args, **kwargs):
    return max(ranks(world).run(cases.vae_parity, *args, **kwargs))


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("way", WAYS)
def test_over_two_ranks_it_is_the_vae_alone(ranks, way, config, coding):
    """Five rows, three columns and six frames: neither is even."""
    assert worst(ranks, 2, way, config, coding, 5, 3, 6, torch.float64) <= EXACT[torch.float64]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(("way", "config"), [("rows", "wan2.2"), ("time", "wan2.1"), ("both", "wan2.1")])
def test_so_it_is_over_four(ranks, way, config, coding):
    """Five rows over four ranks: strips of one row. Six frames: in the second turn three ranks have no chunk."""
    assert worst(ranks, 4, way, config, coding, 5, 3, 6, torch.float64) <= EXACT[torch.float64]


@pytest.mark.parametrize("way", ["rows", "time"])
@pytest.mark.parametrize("coding", CODINGS)
def test_fewer_rows_and_frames_than_ranks(ranks, way, coding):
    assert worst(ranks, 4, way, "wan2.1", coding, 2, 2, 2, torch.float64) <= EXACT[torch.float64]
    assert worst(ranks, 4, way, "wan2.1", coding, 1, 2, 1, torch.float64) <= EXACT[torch.float64]


@pytest.mark.parametrize("odd", [1, 3])
def test_pixels_that_make_no_latent_row_count_as_they_do_alone(ranks, odd):
    assert worst(ranks, 2, "rows", "wan2.1", "encode", 3, 2, 2, torch.float64, odd=odd) <= EXACT[torch.float64]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("way", ["rows", "time"])
def test_in_fp32(ranks, way, coding):
    assert worst(ranks, 2, way, "wan2.1", coding, 4, 3, 4, torch.float32) <= EXACT[torch.float32]


@pytest.mark.full
@pytest.mark.parametrize("dtype", list(EXACT), ids=named)
@pytest.mark.parametrize(("rows", "frames"), [(2, 3), (3, 7), (7, 5), (8, 9)])
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(
    ("way", "world"), [(way, world) for way in WAYS for world in (2, 3, 4)] + [("both", 2), ("both", 4)]
)
def test_the_whole_matrix(ranks, way, world, config, coding, rows, frames, dtype):
    assert worst(ranks, world, way, config, coding, rows, 5, frames, dtype) <= EXACT[dtype]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("way", ["rows", "time"])
def test_no_rank_does_more_than_its_share(ranks, way, coding):
    """Eight rows; or a first frame for all, then eight chunks: by operations, halos and first chunk included."""
    shares = ranks(4).run(cases.share_of_work, way, coding, 8, 9)
    assert max(shares) < 0.25 * 1.3


# --- controls: each fault is found ---


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(
    ("way", "fault"),
    [
        ("rows", "no halo"),
        ("rows", "halo of the wrong side"),
        ("rows", "local attention"),
        ("time", "own past"),
        ("time", "the turn before is forgotten"),
    ],
)
def test_a_planted_fault_is_found(ranks, way, fault, coding):
    assert worst(ranks, 2, way, "wan2.1", coding, 5, 3, 6, torch.float64, fault=fault) > WRONG


def test_blended_tiling_is_not_mixed_with_exact_strips(ranks):
    assert all("disable_tiling" in said for said in ranks(2).run(cases.refused, cases.tiled))
