"""Each way to save memory saves it, and changes nothing else. One process; bytes are counted as tensors come and go."""

import copy
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.models.single_dit import SingleDiT
from tests.engine.parallel.cases import SMALL
from trainer.ema import Average
from trainer.parallel import memory as keeping
from trainer.parallel.optimiser import make_optimiser, set_rate
from trainer.parallel.peak import Peak
from trainer.parallel.policy import Memory
from trainer.parallel.spread import Part, Spread


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    model = SingleDiT(**{**SMALL, "token_dims": {}, "hidden": 120, "heads": 5, "rope_axes": (8, 8, 8)}, depth=6)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model


def step(model, memory, away=()):
    """Bytes that a step holds at most beyond the weights, and its gradients. What is offloaded counts in `away`."""
    model, peak = copy.deepcopy(model), Peak()
    spread = Spread({"model": model}, memory=memory)
    generator = torch.Generator().manual_seed(1)
    x, condition = (torch.randn(2, channels, 8, 8, 8, generator=generator) for channels in (2, 3))
    text, mask = torch.randn(2, 5, 6, generator=generator), torch.ones(2, 5, dtype=torch.bool)

    def loss():
        with sdpa_kernel(SDPBackend.MATH):  # as the loop does, and not around the backward pass
            made = model(x, torch.tensor([0.3, 0.7]), text, mask, condition)
        return (made - x).square().mean(), {}

    with mock.patch.object(keeping, "to_host", counted(peak, away)), peak:
        spread.backward([Part(loss)])
    return peak.most, [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def counted(peak, away):
    def to_host(x):
        with mock.patch.object(peak, "elsewhere", lambda _: True):
            host = x.clone()
        away.append(host.untyped_storage().nbytes())
        return host

    return to_host


def test_what_is_computed_again_is_not_kept_and_the_gradients_have_the_same_bits(model):
    kept, grads = step(model, Memory())
    selective, same = step(model, Memory("selective"))
    full, also = step(model, Memory("full"))
    assert full < 0.85 * selective
    assert selective < 0.8 * kept
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(grads, same, also, strict=True))


def test_what_is_offloaded_is_elsewhere_and_comes_back(model):
    away = []
    kept, grads = step(model, Memory())
    held, same = step(model, Memory(offload=True), away)
    assert held < 0.5 * kept
    assert sum(away) > kept - held
    assert all(torch.equal(a, b) for a, b in zip(grads, same, strict=True))
    step(model, Memory("full", offload=True), away := [])
    assert len(away) == 6, "of each block its tokens; the rest is small"


def test_weights_are_not_offloaded(model):
    away = []
    step(model, Memory(offload=True), away)
    sizes = {p.untyped_storage().nbytes() for p in model.blocks.parameters() if p.numel() > keeping.SMALL}
    assert away and not sizes & set(away)


def test_bytes_are_counted_as_they_come_and_go():
    with Peak() as peak:
        one = torch.zeros(100)
        view = one.view(10, 10)[2:]
        two = one + 1
        del two
        three = torch.zeros(10)
        assert (peak.now, peak.most) == (440, 800)
        three.untyped_storage().resize_(0)
        assert peak.now == 400
        del one
        assert peak.now == 400, "a view holds it"
        del view
        assert peak.now == 0


def test_the_average_of_narrow_weights_is_wide():
    net = nn.ModuleDict({"layer": nn.Linear(4, 4, dtype=torch.bfloat16)})
    average = Average(net, 0.999)
    begin = {key: value.clone() for key, value in average.values.items()}
    with torch.no_grad():
        net["layer"].weight.mul_(1.01)
    for at in range(9000, 9020):
        average.update(at)
    assert average.values["layer.weight"].dtype == torch.float32
    assert not torch.equal(average.values["layer.weight"], begin["layer.weight"])
    assert torch.equal(average.values["layer.weight"].bfloat16(), begin["layer.weight"].bfloat16()), "narrow, it stands"


def trained(kind, steps=20):
    torch.manual_seed(4)
    net = nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64))
    optimiser, x, losses = make_optimiser(net.parameters(), kind, 1e-2), torch.randn(32, 64), []
    for at in range(steps):
        set_rate(optimiser, 1e-2 / (1 + at))
        loss = (net(x) - x.roll(1, 1)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses, optimiser


def test_the_fused_optimiser_learns_as_the_plain_one():
    plain, fused = trained("adamw")[0], trained("fused")[0]
    assert max(abs(a - b) for a, b in zip(plain, fused, strict=True)) < 1e-5
    assert plain[-1] < 0.9 * plain[0]


@pytest.mark.full
def test_moments_of_8_bits_take_a_quarter_and_learn_nearly_as_well():
    """torchao compiles its step; here it is run as it is written."""
    plain, optimiser = trained("adamw")
    with torch.compiler.set_stance("force_eager"), Peak() as peak:
        narrow, small = trained("8bit")
    assert abs(narrow[-1] - plain[-1]) < 0.1 * plain[-1]
    moments = [value for state in small.state.values() for value in state.values() if value.numel() >= 4096]
    assert len(moments) == 4
    assert peak.most > 0
    bits = sum(getattr(m, name).untyped_storage().nbytes() for m in moments for name in m.__tensor_flatten__()[0])
    assert bits < 0.3 * sum(m.numel() * 4 for m in moments)
    assert all(type(v) is torch.Tensor for s in optimiser.state.values() for v in s.values())


def test_what_there_is_not_is_refused():
    with pytest.raises(ValueError, match="none, selective or full"):
        Memory("some")
    with pytest.raises(ValueError, match="no optimiser 'sgd'"):
        make_optimiser([nn.Parameter(torch.zeros(1))], "sgd", 1e-3)
