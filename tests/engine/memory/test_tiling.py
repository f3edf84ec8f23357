"""A VAE in strips is the VAE in one piece, for less memory; both kinds of Wan VAE, random weights."""

from functools import cache, partial
from unittest import mock

import pytest
import torch

from engine.memory import tiling
from engine.memory.tiling import Strips, decode_margins, encode_margins
from tests.engine.memory.live import peak_bytes
from tests.engine.parallel.vae_cases import CONFIGS, coded, given, vae_of

EXACT = {torch.float64: 1e-10, torch.float32: 1e-5}
WRONG = 1e-3  # what a planted fault has to exceed
ROUNDING = 1e-13  # and what a single missing row, whose weight may be small
CODINGS = ["encode", "decode"]


def named(value):
    return str(value).removeprefix("torch.")


def error(config, coding, height, rows, dtype=torch.float64, odd=0):
    """The greatest difference over the greatest value."""
    vae, x, whole = in_one_piece(config, coding, height, dtype, odd)
    with Strips(vae, rows):
        strips = coded(vae, coding, x)
    assert strips.shape == whole.shape
    return ((strips - whole).abs().max() / whole.abs().max()).item()


@cache
def in_one_piece(config, coding, height, dtype, odd):
    vae = vae_of(config, dtype)
    x = given(vae, coding, height, 2, 3, odd)
    return vae, x, coded(vae, coding, x)


def one_less(block, decoder):
    return [margin - (number == block) for number, margin in enumerate(decode_margins(decoder))]


# --- exact ---


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("config", list(CONFIGS))
@pytest.mark.parametrize(("height", "rows"), [(23, 4), (9, 1)])
def test_in_strips_it_is_the_vae_in_one_piece(height, rows, config, coding):
    """Strips in the middle of the picture, that see neither of its edges; the last one smaller."""
    assert error(config, coding, height, rows) <= EXACT[torch.float64]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("rows", [3, 50])
def test_one_strip_and_pixels_that_make_no_latent_row(rows, coding):
    assert error("wan2.1", coding, 7, rows, odd=3) <= EXACT[torch.float64]


@pytest.mark.parametrize("coding", CODINGS)
def test_in_fp32(coding):
    assert error("wan2.1", coding, 16, 4, torch.float32) <= EXACT[torch.float32]


def test_without_strips_the_vae_is_as_it_was():
    assert error("wan2.1", "decode", 7, 3) <= EXACT[torch.float64]
    vae, x, whole = in_one_piece("wan2.1", "decode", 7, torch.float64, 0)
    assert torch.equal(coded(vae, "decode", x), whole)


@pytest.mark.full
@pytest.mark.parametrize("dtype", list(EXACT), ids=named)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("config", list(CONFIGS))
@pytest.mark.parametrize("rows", [1, 2, 5, 8, 13])
@pytest.mark.parametrize("height", [1, 2, 21, 32])
def test_the_whole_matrix(height, rows, config, coding, dtype):
    odd = 2 if (config, coding) == ("wan2.1", "encode") else 0  # Wan 2.2's encoder takes whole latent rows alone
    assert error(config, coding, height, rows, dtype, odd) <= EXACT[dtype]


# --- less memory ---


@pytest.mark.parametrize("coding", CODINGS)
def test_strips_hold_less(coding):
    vae = vae_of("wan2.1", torch.float32)
    x = given(vae, coding, 32, 2, 3)
    whole = peak_bytes(lambda: coded(vae, coding, x))
    with Strips(vae, 4):
        strips = peak_bytes(lambda: coded(vae, coding, x))
    assert strips < 0.6 * whole


def test_what_is_held_is_counted():
    """The control of the count: two tensors at once, one of them a view, then another after the first is gone."""

    def work():
        first = torch.zeros(1000, dtype=torch.uint8)
        second = torch.zeros(500, dtype=torch.uint8)[:100]
        del first
        return second, torch.zeros(700, dtype=torch.uint8)

    assert peak_bytes(work) == 1500


# --- controls: each fault is found ---


@pytest.mark.parametrize("config", list(CONFIGS))
@pytest.mark.parametrize("coding", CODINGS)
def test_too_small_a_margin_is_found(coding, config):
    with (
        mock.patch.object(tiling, "encode_margins", lambda coder: [0 for _ in encode_margins(coder)]),
        mock.patch.object(tiling, "decode_margins", lambda coder: [rows // 2 for rows in decode_margins(coder)]),
    ):
        assert error(config, coding, 23, 4) > WRONG


@pytest.mark.parametrize("config", list(CONFIGS))
def test_no_margin_could_be_smaller(config):
    """One row less before any block of the decoder is found."""
    blocks = len(vae_of(config, torch.float64).decoder.up_blocks)
    for block in range(blocks):
        with mock.patch.object(tiling, "decode_margins", partial(one_less, block)):
            assert error(config, "decode", 23, 4) > ROUNDING


def test_blended_tiling_is_not_mixed_with_exact_strips():
    vae = vae_of("wan2.1", torch.float32)
    vae.enable_tiling()
    with pytest.raises(ValueError, match="disable_tiling"):
        Strips(vae, 4)


def test_other_vaes_and_empty_strips_are_refused():
    with pytest.raises(ValueError, match="not a Identity"):
        Strips(torch.nn.Identity(), 4)
    with pytest.raises(ValueError, match="at least one latent row, not 0"):
        Strips(vae_of("wan2.1", torch.float32), 0)
