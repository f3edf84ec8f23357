"""What a forward costs: floating-point operations, parameters, bytes held and bytes sent. From sizes alone, no torch.

A model is described once, block by block, as its linear layers and its attentions; all figures are sums over that
description. It is chosen by the configuration: `dual_depth` makes a Multimodal-DiT, `depth` a Single-DiT. A product of
[n, i] and [i, o] counts 2 n i o, as `torch.utils.flop_counter` does; norms, activations and sums count nothing.

Legend: D hidden, C text width, F feed-forward, L video tokens, M text tokens, P ranks of the sequence.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.axes import MeshShape

Config = Mapping[str, Any]
TIME_FEATURES, STRENGTH_FEATURES = 256, 64


@dataclass(frozen=True)
class Flops:
    """Floating-point operations, by what they are spent on."""

    attention: int = 0  # scores, and the sums of values that they weigh
    linear: int = 0  # projections and feed-forward
    modulation: int = 0  # what is done once a sample: time, controls, shifts, scales, gates

    def __add__(self, other: Flops) -> Flops:
        return Flops(self.attention + other.attention, self.linear + other.linear, self.modulation + other.modulation)

    def __sub__(self, other: Flops) -> Flops:
        return Flops(self.attention - other.attention, self.linear - other.linear, self.modulation - other.modulation)

    @property
    def total(self) -> int:
        return self.attention + self.linear + self.modulation


@dataclass(frozen=True)
class Block:
    """Linear layers as (what their rows are, inputs, outputs), attentions as (queries, keys).

    Rows are of `video`, `text`, `both`, `context` (the text and a null token) or `sample` (one row a sample).
    """

    linears: tuple[tuple[str, int, int], ...]
    attends: tuple[tuple[str, str], ...] = ()
    reduces: tuple[str, ...] = ()  # of which rows tensor parallelism sums a [rows, D] over its ranks
    other: int = 0  # parameters that no product uses: norms, tables
    entries: tuple[tuple[str, int, int], ...] = ()  # those linear layers whose input nobody wants the gradient of


# --- floating-point operations ---


def forward_flops(
    config: Config,
    tokens: int,
    text_tokens: int,
    batch: int = 1,
    *,
    controls: bool = True,
    extra: Mapping[str, int] | None = None,
) -> Flops:
    """Of one whole forward over `batch` samples of `tokens` video tokens each.

    `text_tokens` as the text tensor is long, padding included: it is computed too. `controls`: whether controls are
    given; `extra`: of each further kind of tokens (`token_dims`) how many.
    """
    count = sum((extra or {}).values())
    blocks = block_flops(config, tokens, text_tokens + count, batch)
    rows = _rows(tokens, text_tokens + count, batch) | {f"token {k}": n * batch for k, n in (extra or {}).items()}
    left_out = set() if controls else {"control"}
    return sum(blocks, _flops(_ends(config), rows | dict.fromkeys(left_out, 0), config["hidden"]))


def block_flops(config: Config, tokens: int, text_tokens: int, batch: int = 1) -> tuple[Flops, ...]:
    """Of each block, in the order in which they run."""
    rows = _rows(tokens, text_tokens, batch)
    return tuple(_flops(block, rows, config["hidden"], batch) for block in blocks_of(config))


def backward_flops(
    config: Config,
    tokens: int,
    text_tokens: int,
    batch: int = 1,
    *,
    controls: bool = True,
    extra: Mapping[str, int] | None = None,
) -> Flops:
    """Of the backward of that forward, exactly: twice the forward, less the gradients of what comes from outside.

    For a Multimodal-DiT whose last block is a joint one. A kernel that recomputes scores in its backward, as flash
    attention does, does more than is counted here and by the definition of MFU.
    """
    once = forward_flops(config, tokens, text_tokens, batch, controls=controls, extra=extra)
    rows = _rows(tokens, text_tokens, batch) | {f"token {k}": n * batch for k, n in (extra or {}).items()}
    left_out = {"text"} if extra else set()  # the text then goes beside tokens that were learnt to be read
    left_out |= set() if controls else {"control"}
    entries = Block(_ends(config).entries)
    return once + once - _flops(entries, rows | dict.fromkeys(left_out, 0), config["hidden"])


def token_count(config: Config, frames: int, height: int, width: int) -> int:
    """Video tokens of latents [frames, height, width]."""
    return math.prod(n // p for n, p in zip((frames, height, width), config["patch_size"], strict=True))


def check_size(config: Config, vae: Config, frames: int, height: int, width: int) -> None:
    """ValueError where transformer and VAE of these configurations have no whole grid of patches for such a video."""
    (time, space), (t, h, w) = scales_of(vae), config.get("patch_size", (1, 1, 1))
    first, step = 1 + time * (t - 1), time * t
    if frames < first or (frames - first) % step:
        raise ValueError(f"{frames} frames: the model makes {first} + {step}n of them, such as {first + 4 * step}.")
    if min(height, width) < 1 or height % (space * h) or width % (space * w):
        sides = f"widths have to be multiples of {space * w}, and heights multiples of {space * h}"
        raise ValueError(f"{width}x{height} pixels: {sides}.")


def _rows(tokens: int, text: int, batch: int) -> dict[str, int]:
    per_sample = {"video": tokens, "text": text, "both": tokens + text, "context": text + 1, "sample": 1, "control": 1}
    return {kind: n * batch for kind, n in per_sample.items()}


def _flops(block: Block, rows: Mapping[str, int], hidden: int, batch: int = 1) -> Flops:
    products = [(kind, 2 * rows.get(kind, 0) * i * o) for kind, i, o in block.linears]
    once = sum(flops for kind, flops in products if kind in ("sample", "control"))
    attention = sum(4 * rows[queries] * rows[keys] // batch * hidden for queries, keys in block.attends)
    return Flops(attention, sum(flops for _, flops in products) - once, once)


# --- the description of the models ---


def blocks_of(config: Config) -> tuple[Block, ...]:
    """The blocks, in the order in which they run."""
    if "dual_depth" in config:
        dual, single = _dual_block(config), _joint_block(config)
        return (dual,) * config["dual_depth"] + (single,) * config["single_depth"]
    return (_cross_block(config),) * config["depth"]


def _attention(kind: str, d: int) -> tuple[tuple[str, int, int], ...]:
    return (kind, d, 3 * d), (kind, d, d)


def _mlp(kind: str, config: Config) -> tuple[tuple[str, int, int], ...]:
    d, wide = config["hidden"], int(config["hidden"] * config.get("mlp_ratio", 4.0))
    return (kind, d, wide), (kind, wide, d)


def _norms(config: Config) -> int:
    """Weights of the norms of queries and keys."""
    return 2 * config["hidden"] // config["heads"]


def _cross_block(config: Config) -> Block:
    d, c = config["hidden"], config["text_dim"]
    cross = ("video", d, d), ("context", c, 2 * d), ("video", d, d)
    return Block(
        (*_attention("video", d), *cross, *_mlp("video", config)),
        attends=(("video", "video"), ("video", "context")),
        reduces=("video",) * 3,
        other=6 * d + 2 * d + c + 2 * _norms(config),
    )


def _dual_block(config: Config) -> Block:
    d = config["hidden"]
    streams = [(("sample", d, 6 * d), *_attention(kind, d), *_mlp(kind, config)) for kind in ("video", "text")]
    return Block(
        tuple(linear for stream in streams for linear in stream),
        attends=(("both", "both"),),
        reduces=("both",) * 2,
        other=2 * _norms(config),
    )


def _joint_block(config: Config) -> Block:
    d = config["hidden"]
    return Block(
        (("sample", d, 3 * d), *_attention("both", d), *_mlp("both", config)),
        attends=(("both", "both"),),
        reduces=("both",) * 2,
        other=_norms(config),
    )


def _ends(config: Config) -> Block:
    """What stands before and behind the blocks."""
    d, c, sizes = config["hidden"], config["text_dim"], config.get("control_sizes") or ()
    patch = math.prod(config["patch_size"])
    latents, condition = config["in_channels"] * patch, config.get("condition_channels", 0) * patch
    entries = [
        ("video", latents, d),
        *([("video", condition, d)] if condition else []),
        ("sample", TIME_FEATURES, d),
        ("sample", c, max(1, len(sizes)) * d),
        *[("control", STRENGTH_FEATURES, d)] * len(sizes),
        *([("text", c, d)] if "dual_depth" in config else []),
        *[(f"token {name}", width, c) for name, width in (config.get("token_dims") or {}).items()],
    ]
    inner = [
        ("sample", d, d),
        *[("control", d, d)] * len(sizes),
        *([] if "dual_depth" in config else [("sample", d, 6 * d)]),
        ("sample", d, 2 * d),
        ("video", d, latents),
    ]
    return Block((*entries, *inner), other=2 * d * sum(sizes), entries=tuple(entries))


# --- parameters and bytes ---


def parameters(config: Config) -> int:
    """Numbers that the transformer's weights hold."""
    return sum(_parameters(block) for block in (_ends(config), *blocks_of(config)))


def block_parameters(config: Config) -> tuple[int, ...]:
    """Of each block, in the order in which they run: what sharding and offload move."""
    return tuple(_parameters(block) for block in blocks_of(config))


def block_bytes(config: Config, width: int = 2, *, rounded: bool = False) -> tuple[int, ...]:
    """Bytes of each block's weights. `rounded`: linear layers in 8 bits with a scale a row, modulations whole."""
    return tuple(_bytes(block, width, rounded) for block in blocks_of(config))


def _bytes(block: Block, width: int, rounded: bool) -> int:
    gone = sum(i * o * (width - 1) - 4 * o for rows, i, o in block.linears if rows != "sample")
    return _parameters(block) * width - (gone if rounded else 0)


def _parameters(block: Block) -> int:
    return block.other + sum((i + 1) * o for _, i, o in block.linears)


def activation_bytes(config: Config, tokens: int, text_tokens: int, batch: int = 1, *, width: int = 2) -> int:
    """An estimate of the most that is held at once beside the weights, on a rank that has these tokens.

    The worst of two moments: the feed-forward, with the stream, its input, and its inside before and after the
    activation; and the turning of q and k: 13 times the stream, 14 where two streams are one. Scores are not held.
    `width` is the bytes of a number.
    """
    d, joint = config["hidden"], "dual_depth" in config
    feed_forward = 2 * d + 2 * int(d * config.get("mlp_ratio", 4.0))
    turning = 14 * d if config.get("single_depth") else 13 * d
    return batch * (tokens + (text_tokens if joint else 0)) * max(feed_forward, turning) * width


# --- bytes sent ---


def sent_bytes(
    config: Config, layout: MeshShape, tokens: int, text_tokens: int, batch: int = 1, *, width: int = 2
) -> dict[str, int]:
    """What a rank sends to others in one forward of `batch` rows in all, by axis; `width` bytes a number.

    Ulysses sends all of q, k, v and the output but the own heads' (arXiv 2309.14509), a ring the keys and values of its
    part once to each other place (2310.01889), tensor parallelism sums by a reduce and a gather. `gather`: the video
    is whole again behind the blocks. The small integers of masks are left out.
    """
    rows = {kind: n // (layout.data * layout.cfg) for kind, n in _rows(tokens, text_tokens, batch).items()}
    d, p, u, t = config["hidden"], layout.sequence, layout.ulysses, layout.tensor
    blocks = blocks_of(config)
    own = [rows[block.attends[0][0]] * d * width / (p * t) for block in blocks]
    summed = sum(rows[kind] for block in blocks for kind in block.reduces) * d * width / p
    output = tokens * batch * config["in_channels"] * math.prod(config["patch_size"]) * width
    sent = {
        "ulysses": 4 * sum(own) * (u - 1) / u,
        "ring": 2 * sum(own) * (layout.ring - 1),
        "tensor": 2 * summed * (t - 1) / t,
        "gather": rows["video"] * d * width / p * (p - 1),
        "cfg": output / (layout.data * layout.cfg) * (layout.cfg - 1),
        "data": output / layout.data * (layout.data - 1),
    }
    return {axis: round(number) for axis, number in sent.items()}


# --- the VAE of the large models ---


@dataclass(frozen=True)
class Convolution:
    """A 3D convolution of the Wan decoder on one latent frame: what it reads is `frames` x `scale`^2 latent pixels."""

    inputs: int
    outputs: int
    kernel: int  # weights of one input to one output
    frames: int
    scale: int
    cached: bool  # keeps the last two frames of what it reads


def decode_flops(config: Config, frames: int, height: int, width: int, batch: int = 1) -> int:
    """Of `AutoencoderKLWan.decode` (2.1 form) of latents [frames, height, width], untiled."""
    area = height * width
    middle = _channels(config)[0]
    flops = 2 * config["z_dim"] ** 2 * frames * area  # the layer before the decoder
    flops += frames * (2 * 4 * middle**2 * area + 4 * middle * area**2)  # its one attention, a frame at a time
    for first, count in ((True, 1), (False, frames - 1)):
        for layer in _convolutions(config, first=first):
            flops += 2 * layer.inputs * layer.outputs * layer.kernel * layer.frames * layer.scale**2 * area * count
    return flops * batch


def decode_bytes(config: Config, frames: int, height: int, width: int, batch: int = 1, *, number: int = 2) -> int:
    """An estimate of the most that its decoder holds at once beside the weights, untiled: a latent frame at a time.

    What the convolutions keep of the frames before, the greatest layer's input, its copy with the frames before, its
    output and what is added to it, and the video, twice while the last frames are appended.
    """
    area, first = height * width, frames == 1
    layers = list(_convolutions(config, first=first))
    caches = sum(layer.inputs * 2 * layer.scale**2 for layer in layers if layer.cached) * (not first)
    work = max(
        (layer.inputs * (2 * layer.frames + 2) + layer.outputs * 2 * layer.frames) * layer.scale**2 for layer in layers
    )
    video = 3 * (4 * frames - 3) * scales_of(config)[1] ** 2
    return round((caches + work + 2 * video) * area * batch * number)


def scales_of(config: Config) -> tuple[int, int]:
    """Frames a latent (after the first) and pixels a latent. A VAE that reads patches makes its latents of these."""
    return 2 ** sum(config["temperal_downsample"]), _factor(config) * (config.get("patch_size") or 1)


def _channels(config: Config) -> list[int]:
    """Channels after the first layer, then after each level, from the coarse to the fine."""
    base = config.get("decoder_base_dim") or config["base_dim"]
    return [base * m for m in (config["dim_mult"][-1], *reversed(config["dim_mult"]))]


def _factor(config: Config) -> int:
    return 2 ** (len(config["dim_mult"]) - 1)


def _convolutions(config: Config, *, first: bool) -> Iterator[Convolution]:
    """Of one latent frame, in order. The first frame is not stretched in time."""
    channels, levels = _channels(config), len(config["dim_mult"])
    stretch: Sequence[bool] = list(reversed(config["temperal_downsample"]))
    frames, scale = 1, 1
    yield Convolution(config["z_dim"], channels[0], 27, 1, 1, cached=True)
    for _ in range(2):
        yield from _residual(channels[0], channels[0], 1, 1)
    for level, (entering, inside) in enumerate(itertools.pairwise(channels)):
        now = entering // 2 if level else entering
        for _ in range(config["num_res_blocks"] + 1):
            yield from _residual(now, inside, frames, scale)
            now = inside
        if level < levels - 1:
            if stretch[level] and not first:
                yield Convolution(inside, 2 * inside, 3, frames, scale, cached=True)
                frames *= 2
            scale *= 2
            yield Convolution(inside, inside // 2, 9, frames, scale, cached=False)
    yield Convolution(channels[-1], config.get("out_channels", 3), 27, frames, scale, cached=True)


def _residual(inputs: int, outputs: int, frames: int, scale: int) -> Iterator[Convolution]:
    yield Convolution(inputs, outputs, 27, frames, scale, cached=True)
    yield Convolution(outputs, outputs, 27, frames, scale, cached=True)
    if inputs != outputs:
        yield Convolution(inputs, outputs, 1, frames, scale, cached=False)
