"""Attention by every backend that runs here, its log-sum-exp, and what is said when a backend cannot be had."""

from types import SimpleNamespace

import pytest
import torch

from engine.attention import flash, plain, sdpa
from engine.attention.dispatch import BACKENDS, Attention, restore, use
from engine.attention.mask import Mask
from engine.models.single_dit import SingleDiT


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def qkv(queries=6, keys=9):
    return normal(2, 3, queries, 8, seed=1), normal(2, 3, keys, 8, seed=2), normal(2, 3, keys, 8, seed=3)


@pytest.fixture
def mask():
    """Two packed samples and padding; the last query of the second row belongs to a sample that has no key."""
    query_BL = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 7]], dtype=torch.int32)
    key_BM = torch.tensor([[0, 0, 0, 0, 1, 1, 1, -1, -1], [0, 1, 1, 1, 1, 1, -1, -1, -1]], dtype=torch.int32)
    return Mask(key_BM, query_BL)


@pytest.mark.parametrize("masked", [False, True])
def test_the_written_out_attention_is_pytorchs(masked, mask):
    q, k, v = qkv()
    mask = mask if masked else None
    seen = sdpa.forward(q, k, v, mask)
    alive = torch.ones(2, 1, 6, 1, dtype=torch.bool) if mask is None else mask.dense().any(-1, keepdim=True)
    for out in (plain.forward(q, k, v, mask), plain.forward_lse(q, k, v, mask)[0]):
        torch.testing.assert_close(out, seen.masked_fill(~alive, 0.0), atol=1e-12, rtol=0)


def test_a_query_that_sees_nothing_gives_zero(mask):
    q, k, v = (x.requires_grad_() for x in qkv())
    plain.forward(q, k, v, mask).sum().backward()
    out, lse = plain.forward_lse(*(x.detach() for x in (q, k, v)), mask)
    assert out[1, :, 5].abs().max() == 0
    assert (lse[1, :, 5] == -torch.inf).all()
    assert all(x.grad.isfinite().all() for x in (q, k, v))


@pytest.mark.parametrize("scores", [plain.SCORES, 60])
def test_the_gradients_of_all_blocks_add_up_to_autograds(scores, mask, monkeypatch):
    """Also where the queries are taken a few at a time."""
    monkeypatch.setattr(plain, "SCORES", scores)
    q, k, v = qkv()
    grad = normal(2, 3, 6, 8, seed=4)
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    plain.forward(*leaves, mask).backward(grad)
    out, lse = plain.forward_lse(q, k, v, mask)
    blocks = [
        plain.backward(grad, q, k[:, :, a:b], v[:, :, a:b], out, lse, Mask(mask.key_BM[:, a:b], mask.query_BL))
        for a, b in ((0, 4), (4, 9))
    ]
    ours = [blocks[0][0] + blocks[1][0], *(torch.cat([x, y], 2) for x, y in zip(*(b[1:] for b in blocks), strict=True))]
    for leaf, mine in zip(leaves, ours, strict=True):
        torch.testing.assert_close(mine, leaf.grad, atol=1e-12, rtol=0)


def test_the_backend_is_chosen_by_role_and_a_named_one_is_never_replaced():
    q, k, v = qkv()
    assert Attention().backend(q, k, "self", None) is sdpa
    chosen = Attention({"joint": "plain"})
    assert [chosen.backend(q, k, role, None) for role in ("self", "cross", "joint")] == [sdpa, sdpa, plain]
    with pytest.raises(ValueError, match="backend flash cannot be used here: "):
        Attention({"self": "flash"})(q, k, v, role="self")
    with pytest.raises(ValueError, match=r"No attention backend xfuser\. There are: auto, flash, sdpa, plain"):
        Attention({"self": "xfuser"})


def test_flash_is_taken_where_it_can_and_gains(monkeypatch):
    """Its package is not here: that it is asked, and for what, is all that is shown."""
    monkeypatch.setattr(flash, "unsuitable", lambda q, k, mask: "a mask" if mask else None)
    q, k, _ = qkv(queries=600, keys=600)
    mask = Mask(torch.zeros(2, 600, dtype=torch.int32))
    assert Attention().backend(q, k, "self", None) is flash
    assert Attention().backend(q, k[:, :, :77], "cross", None) is sdpa
    assert Attention().backend(q, k, "joint", mask) is sdpa


def on_device(monkeypatch, here, capability):
    """As if these modules and such a device were here; keeps which of them is called."""
    called = []
    module = lambda name: SimpleNamespace(flash_attn_func=lambda q, k, v: called.append(name) or q)  # noqa: E731
    monkeypatch.setattr(flash, "installed", lambda: here)
    monkeypatch.setattr(flash, "import_module", module)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    return SimpleNamespace(is_cuda=True, device=torch.device("cuda", 0), dtype=torch.float16), called


BOTH = ("flash_attn_interface", "flash_attn")


@pytest.mark.parametrize(
    ("here", "capability", "version"),
    [
        (BOTH, (9, 0), "flash_attn_interface"),
        (BOTH, (8, 0), "flash_attn"),
        (BOTH, (12, 0), "flash_attn"),
        (BOTH[1:], (9, 0), "flash_attn"),
    ],
)
def test_flash_is_of_the_version_that_the_device_runs(monkeypatch, here, capability, version):
    tensor, called = on_device(monkeypatch, here, capability)
    assert flash.unsuitable(tensor, tensor, None) is None
    flash.forward(*qkv(), None)
    assert called == [version]


@pytest.mark.parametrize(("here", "capability"), [(BOTH[:1], (8, 9)), (BOTH[:1], (10, 0)), (BOTH, (7, 5))])
def test_flash_is_not_taken_where_no_version_runs(monkeypatch, here, capability):
    tensor, _ = on_device(monkeypatch, here, capability)
    wanted = "does not run on a device of compute capability {}.{}".format(*capability)
    assert flash.unsuitable(tensor, tensor, None) == f"{' and '.join(here)} {wanted}"


def test_every_backend_has_all_that_a_ring_needs():
    for backend in BACKENDS.values():
        assert all(callable(getattr(backend, name)) for name in ("unsuitable", "forward", "forward_lse", "backward"))


def test_the_attention_of_a_model_is_exchanged_and_put_back():
    model = SingleDiT(hidden=64, depth=2, heads=2, rope_axes=(8, 12, 12))
    asked = []

    def attend(q, k, v, *, role, mask=None):
        asked.append(role)
        return Attention()(q, k, v, role=role, mask=mask)

    call = (torch.randn(1, 8, 1, 2, 2), torch.rand(1), torch.randn(1, 3, 192), torch.ones(1, 3, dtype=torch.bool))
    before = use(model, attend)
    model(*call)
    assert asked == ["self", "cross"] * 2
    restore(before)
    model(*call)
    assert len(asked) == 4
