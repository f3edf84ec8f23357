"""Block-sparse attention and precision over the steps: exact where they claim it, near where they say so."""

import pytest
import torch

from engine.attention import plain, sdpa, sparse
from engine.attention.dispatch import Attention, use
from engine.attention.mask import Mask
from engine.attention.schedule import Rounded, Schedule
from engine.attention.sparse import BlockSparse
from engine.models.single_dit import SingleDiT
from engine.parallel.usp import SequenceAttention
from engine.parallel.xfuser import XfuserAttention, unsuitable

GRID = (4, 10, 12)
VIDEO = 4 * 10 * 12


def video_like(tokens=VIDEO, text=0, heads=2):
    """Queries and keys that agree where places are near, as in a video; the text is alike for all."""
    where = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, n) for n in GRID), indexing="ij"), -1).reshape(-1, 3)
    waves = torch.randn(3, 16, generator=torch.Generator().manual_seed(1)) * 3
    near = torch.cat([(where @ waves).sin(), (where @ waves).cos()], -1)[:tokens].double()
    words = torch.randn(text, 32, generator=torch.Generator().manual_seed(2)).double()
    x = torch.cat([near, words]).expand(1, heads, -1, -1) * 2.5
    v = torch.randn(1, heads, tokens + text, 32, generator=torch.Generator().manual_seed(3)).double()
    return x, x.flip(1).contiguous(), v


def error(keep, grid=GRID, text=0):
    q, k, v = video_like(text=text)
    whole = plain.forward(q, k, v, None)
    return ((BlockSparse(keep, grid).forward(q, k, v, None) - whole).norm() / whole.norm()).item()


@pytest.mark.parametrize("text", [0, 7])
@pytest.mark.parametrize("grid", [GRID, None], ids=["boxes", "runs"])
@pytest.mark.parametrize("gathered", [sparse.GATHERED, 20_000])
def test_all_blocks_are_full_attention(grid, text, gathered, monkeypatch):
    """With text behind the video, with a grid that boxes do not fill, and where blocks are taken a few at a time."""
    monkeypatch.setattr(sparse, "GATHERED", gathered)
    assert error(1.0, grid, text) < 1e-12


def test_the_error_falls_with_what_is_kept_and_boxes_beat_runs():
    errors = [error(keep) for keep in (0.15, 0.3, 0.6, 0.9)]
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < 0.25
    assert errors[1] < 0.7 * error(0.3, None)


def test_control_blocks_that_are_not_chosen_by_their_scores_are_worse(monkeypatch):
    chosen = error(0.3)
    monkeypatch.setattr(
        sparse, "_chosen", lambda q, k, kept: torch.arange(kept).expand(*q.shape[:3], kept).contiguous()
    )
    assert error(0.3) > 2 * chosen


def test_text_is_read_by_all_and_reads_all():
    q, k, v = video_like(text=5)
    whole = plain.forward(q, k, v, None)
    out = BlockSparse(0.1, GRID).forward(q, k, v, None)
    torch.testing.assert_close(out[:, :, VIDEO:], whole[:, :, VIDEO:], atol=1e-12, rtol=0)
    moved = v.clone()
    moved[:, :, -1] += 1e3
    assert ((BlockSparse(0.1, GRID).forward(q, k, moved, None) - out).abs().amin(-1) > 0).all()


@pytest.mark.parametrize("grid", [GRID, None], ids=["boxes", "runs"])
def test_padding_behind_the_video_is_seen_by_nobody(grid):
    q, k, v = video_like(text=9)
    mask = Mask.of_keys(torch.arange(VIDEO + 9)[None] < VIDEO + 4)
    out = BlockSparse(1.0, grid).forward(q, k, v, mask)
    torch.testing.assert_close(out, plain.forward(q, k, v, mask), atol=1e-12, rtol=0)
    assert (out - plain.forward(q, k, v, None)).abs().max() > 1e-3, "the padding would have mattered"


def test_its_gradients_are_those_of_what_it_reads():
    attend = BlockSparse(0.5, box=(1, 1, 4))
    assert torch.autograd.gradcheck(
        lambda *qkv: attend.forward(*qkv, None), [x[:, :1, :20, :4].clone().requires_grad_() for x in video_like()]
    )


def test_its_gradients_are_there_after_a_call_for_inference():
    """On a grid of this test alone: what is kept of it is made within the inference."""
    attend, (q, k, v) = BlockSparse(0.5, (3, 8, 8)), (x[:, :, : 3 * 8 * 8] for x in video_like())
    with torch.inference_mode():
        attend.forward(q, k, v, None)
    leaf = v.clone().requires_grad_()
    attend.forward(q, k, leaf, None).sum().backward()
    assert leaf.grad.abs().max() > 0


def test_what_it_cannot_do_is_said():
    q, k, v = video_like()
    asked = Attention({"self": BlockSparse(0.5, GRID)})
    with pytest.raises(ValueError, match="it takes no packed rows"):
        asked(q, k, v, role="self", mask=Mask(*torch.zeros(2, 1, VIDEO, dtype=torch.int32)))
    with pytest.raises(ValueError, match="more tokens than the sequence"):
        asked(q[:, :, :50], k[:, :, :50], v[:, :, :50], role="self")
    with pytest.raises(ValueError, match="not of one sequence"):
        asked(q[:, :, :50], k, v, role="self")
    with pytest.raises(ValueError, match="use ulysses, not a ring"):
        BlockSparse(0.5).forward_lse(q, k, v, None)
    for share in (0, 1.2):
        with pytest.raises(ValueError, match="share of blocks"):
            BlockSparse(share)


# --- precision over the steps ---


def test_a_schedule_is_rough_between_its_times_only():
    model = SingleDiT(hidden=64, depth=1, heads=2, rope_axes=(8, 12, 12))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4)) * 0.2)
    schedule = Schedule(Attention(), Attention({"self": Rounded(sdpa, torch.bfloat16)}), (0.2, 0.8))
    text = torch.randn(2, 3, 192), torch.ones(2, 3, dtype=torch.bool)
    latents = torch.randn(2, 8, 2, 4, 4)

    def at(first, second):
        return model(latents, torch.tensor([first, second]), *text)

    moments = [(1.0, 1.0), (0.5, 0.5), (0.1, 0.1), (0.5, 0.9)]
    with torch.no_grad():
        exact = [at(*times) for times in moments]
        use(model, schedule)
        handle = schedule.follow(model)
        scheduled = [at(*times) for times in moments]
    assert [torch.equal(a, b) for a, b in zip(exact, scheduled, strict=True)] == [True, False, True, True]
    torch.testing.assert_close(scheduled[1], exact[1], atol=0.02, rtol=0.02)
    handle.remove()
    with pytest.raises(ValueError, match="no range"):
        Schedule(Attention(), Attention(), (0.8, 0.2))


def test_a_rounded_backend_gives_a_ring_what_it_needs():
    q, k, v = (torch.randn(1, 2, 20, 8, generator=torch.Generator().manual_seed(i)) for i in range(3))
    rounded = Rounded(plain, torch.bfloat16)
    out, lse = rounded.forward_lse(q, k, v, None)
    wanted, wanted_lse = plain.forward_lse(q, k, v, None)
    assert out.dtype == torch.float32 and not torch.equal(out, wanted)
    torch.testing.assert_close(out, wanted, atol=0.02, rtol=0.02)
    torch.testing.assert_close(lse, wanted_lse, atol=0.02, rtol=0.02)
    for mine, theirs in zip(
        rounded.backward(v, q, k, v, out, lse, None), plain.backward(v, q, k, v, wanted, wanted_lse, None), strict=True
    ):
        torch.testing.assert_close(mine, theirs, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("sparse", [BlockSparse(0.5), Rounded(BlockSparse(0.5), torch.bfloat16)], ids=["it", "rounded"])
def test_over_ranks_no_step_reads_blocks_of_several_streams(sparse):
    for asked in (Attention({"joint": sparse}), Schedule(Attention(), Attention({"joint": sparse}))):
        with pytest.raises(ValueError, match="block-sparse is for `self`"):
            SequenceAttention(None, lambda: [4, 4], asked)
    SequenceAttention(None, lambda: [4, 4], Schedule(Attention(), Attention({"self": sparse})))  # the control


# --- xfuser: what is refused, which is all that can run without its devices ---


def test_xfuser_is_refused_where_it_is_not_or_would_be_wrong():
    with pytest.raises(ValueError, match=r"xfuser (is not installed|needs CUDA)"):
        XfuserAttention(None, lambda: [4, 4], Attention())
    assert unsuitable(4, [4, 4], 2, None) is None
    assert "5 heads do not divide over 2" in unsuitable(5, [4, 4], 2, None)
    assert "31 tokens do not divide over 2" in unsuitable(4, [16, 15], 2, None)
    assert "no mask" in unsuitable(4, [4, 4], 2, Mask(torch.zeros(1, 8, dtype=torch.int32)))
