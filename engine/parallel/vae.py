"""The video VAE (diffusers' AutoencoderKLWan) over ranks: space by a halo at each convolution, time by its cache.

Space: each rank has a strip of rows (or columns), a convolution first gets the one row that it reads of each neighbour,
zeros lie only around the picture, and the middle's attention asks with its own rows and sees all of them. What is sent
is two rows a convolution, so this is the cheaper way wherever a strip is more than a few rows high.

Time: the VAE goes through a video in chunks, and a causal convolution reads the two frames before its chunk. A layer
needs of the chunk before only what went *into* the same layer there, so consecutive chunks go to consecutive ranks and
all run at once, layer by layer: n chunks take 1 + ceil((n - 1) / ranks) turns, with no rank waiting for a whole chunk
of another. (Ranges of consecutive chunks would run one after the other, since a range begins with what the range before
it does last.) Two frames a convolution are sent: much more than two rows. The first chunk is another shape than the
rest, a single frame, and every rank does it.

Legend: B sample, C channel, T frame, H row, W column, N frame of any sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    AutoencoderKLWan,
    WanAttentionBlock,
    WanCausalConv3d,
    WanResample,
    patchify,
    unpatchify,
)
from diffusers.models.autoencoders.vae import DecoderOutput
from torch import Tensor, nn

from engine.parallel.collectives import exchange, gather, offsets, part_sizes
from engine.parallel.mesh import Axis

DIMS = {"rows": -2, "columns": -1}


class ParallelVae:
    """A VAE spread over the ranks of `space` and of `time`, until `remove` or the end of a `with`; without gradients.

    Every rank calls `vae.encode` and `vae.decode` with the same, whole tensors and gets the whole result. Both axes
    together: the ranks of a mesh `cfg x sequence` all work with `time=mesh.cfg, space=mesh.sequence`.

    ValueError where the VAE is of another class, or its own tiling is on.
    """

    def __init__(
        self,
        vae: AutoencoderKLWan,
        *,
        space: Axis | None = None,
        time: Axis | None = None,
        along: Literal["rows", "columns"] = "rows",
    ) -> None:
        check(vae)
        self.parts: list[SpaceSplit | TimeSplit] = []
        if time is not None and time.size > 1:  # first: rows of the past are fetched like those of the present
            self.parts.append(TimeSplit(vae, time))
        if space is not None and space.size > 1:
            self.parts.append(SpaceSplit(vae, space, DIMS[along]))

    def remove(self) -> None:
        """The VAE as it was."""
        while self.parts:
            self.parts.pop().remove()

    def __enter__(self) -> ParallelVae:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.remove()


def check(vae: nn.Module) -> None:
    """ValueError where a VAE cannot be cut by what is known here."""
    if not isinstance(vae, AutoencoderKLWan):
        raise ValueError(f"Only an AutoencoderKLWan can be cut into strips or chunks, not a {type(vae).__name__}.")
    if vae.use_tiling:
        raise ValueError("The VAE's own blended tiling is on: call disable_tiling() first.")


class SpaceSplit:
    """Encoder and decoder on this rank's strip, until `remove`.

    A strip is whole latent rows; the last also has the pixels that make none. Where there are fewer latent rows than
    ranks, the ranks left over do the last strip once more: they get what its rank gets, and send nothing.
    """

    def __init__(self, vae: AutoencoderKLWan, axis: Axis, dim: int) -> None:
        self.axis, self.dim = axis, dim
        self.sizes: tuple[int, ...] = ()  # latent rows of each rank
        self.strip, self.strips = 0, 1
        self.hooks: list[Any] = []
        self.before: list[tuple[nn.Module, str, Any]] = []
        for coder in (vae.encoder, vae.decoder):
            self.hooks.append(coder.register_forward_pre_hook(self._cut))
            self.hooks.append(coder.register_forward_hook(self._join))
            for module in coder.modules():
                self._attach(module)

    def remove(self) -> None:
        """The VAE as it was."""
        for hook in self.hooks:
            hook.remove()
        for module, name, value in self.before:
            if name == "forward":  # the class's own again
                del module.__dict__[name]
            else:
                module.__dict__[name] = value

    def _attach(self, module: nn.Module) -> None:
        """Rows that a layer would fill with zeros are fetched instead."""
        left = -2 * self.dim - 2  # where this dimension stands in the paddings of `F.pad`
        if isinstance(module, WanCausalConv3d) and module.kernel_size[self.dim] == 3:
            self._change(module, "_padding", _without(module._padding, left))
            self.hooks.append(module.register_forward_pre_hook(self._fetch_both))
        elif isinstance(module, WanResample) and module.mode.startswith("up"):
            conv = module.resample[1]
            self._change(conv, "padding", (0, 1) if self.dim == -2 else (1, 0))
            self.hooks.append(conv.register_forward_pre_hook(self._fetch_both))
        elif isinstance(module, WanResample) and module.mode.startswith("down"):
            self._change(module.resample[0], "padding", _without(module.resample[0].padding, left))
            self.hooks.append(module.resample[1].register_forward_pre_hook(self._fetch_below))
        elif isinstance(module, WanAttentionBlock):
            self._change(module, "forward", lambda x_BCTHW: self._attend(module, x_BCTHW))

    def _change(self, module: nn.Module, name: str, value: Any) -> None:
        self.before.append((module, name, module.__dict__.get(name)))
        module.__dict__[name] = value

    def _cut(self, coder: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x_BCTHW = args[0]
        unit = 2 ** sum(isinstance(m, WanResample) and m.mode.startswith("down") for m in coder.modules())
        length = x_BCTHW.shape[self.dim]
        units = length // unit
        self.strips = max(1, min(self.axis.size, units))
        self.strip = min(self.axis.rank, self.strips - 1)
        self.sizes = part_sizes(units, self.strips) + (0,) * (self.axis.size - self.strips)
        edges = [unit * start for start in offsets(self.sizes[: self.strips])]
        edges[-1] = length
        start, stop = edges[self.strip], edges[self.strip + 1]
        return x_BCTHW.narrow(self.dim, start, stop - start), *args[1:]

    def _join(self, coder: nn.Module, args: tuple[Tensor, ...], made: Tensor) -> Tensor:
        return self._whole(made, made.shape[self.dim] // self.sizes[self.strip])

    def _whole(self, x: Tensor, scale: int = 1) -> Tensor:
        """All strips of a tensor with `scale` rows a latent row."""
        sizes = [scale * size for size in self.sizes]
        return gather(x.narrow(self.dim, 0, sizes[self.axis.rank]), x.dim() + self.dim, sizes, self.axis)

    def _fetch_both(self, conv: nn.Module, args: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        given = [x for x in args if x is not None]  # the chunk, and the frames before it
        above, below = self._neighbours(given)
        return tuple(torch.cat(rows, self.dim) for rows in zip(above, given, below, strict=True))

    def _fetch_below(self, conv: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        """Every second row is made, from itself and the two below: a strip has an even number of rows, so one lacks."""
        _, (below,) = self._neighbours(list(args))
        return (torch.cat([args[0], below], self.dim),)

    def _neighbours(self, given: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """The row above this strip of each of the tensors, and the row below; zeros outside the picture."""
        first = [x.narrow(self.dim, 0, 1) for x in given]
        last = [x.narrow(self.dim, x.shape[self.dim] - 1, 1) for x in given]
        outside = torch.cat([torch.zeros_like(x).flatten() for x in first])
        came = {}
        if self.strips > 1:
            nothing = outside[:0]
            up, down = (torch.cat([x.flatten() for x in edge]) for edge in (first, last))
            to = {self.strip - 1: up, self.strip + 1: down} if self.axis.rank < self.strips else {}
            pieces = [to.get(min(rank, self.strips - 1), nothing) for rank in range(self.axis.size)]
            senders = [rank for rank in (self.strip - 1, self.strip + 1) if 0 <= rank < self.strips]
            shapes = [[outside.numel() if rank in senders else 0] for rank in range(self.axis.size)]
            came = {rank: row for rank, row in enumerate(exchange(pieces, shapes, self.axis)) if rank in senders}
        counts = [x.numel() for x in first]
        above, below = (came.get(self.strip + side, outside).split(counts) for side in (-1, 1))
        return _like(above, first), _like(below, first)

    def _attend(self, block: WanAttentionBlock, x_BCTHW: Tensor) -> Tensor:
        """Attention within each frame: own rows ask, all rows answer."""
        batch = x_BCTHW.shape[0]
        x_NCHW = x_BCTHW.movedim(2, 1).flatten(0, 1)
        q_NCHW, k_NCHW, v_NCHW = block.to_qkv(block.norm(x_NCHW)).chunk(3, 1)
        keys_values = self._whole(torch.cat([k_NCHW, v_NCHW], 1)).chunk(2, 1)
        q, k, v = (y.flatten(2).mT.unsqueeze(1) for y in (q_NCHW, *keys_values))
        out_NCHW = F.scaled_dot_product_attention(q, k, v).squeeze(1).mT.reshape(q_NCHW.shape)
        return block.proj(out_NCHW).unflatten(0, (batch, -1)).movedim(1, 2) + x_BCTHW


class TimeSplit:
    """Consecutive chunks on consecutive ranks, until `remove`."""

    def __init__(self, vae: AutoencoderKLWan, axis: Axis) -> None:
        self.vae, self.axis = vae, axis
        self.spread = False  # whether each rank is at a chunk of its own
        self.kept: dict[nn.Module, dict[int, Tensor]] = {}  # by convolution, by chunks back
        self.hooks = [
            module.register_forward_pre_hook(self._remember)
            for module in vae.modules()
            if isinstance(module, WanCausalConv3d) and module.kernel_size[0] > 1
        ]
        vae.__dict__.update(_encode=self._encode, _decode=self._decode)

    def remove(self) -> None:
        """The VAE as it was."""
        for hook in self.hooks:
            hook.remove()
        del self.vae.__dict__["_encode"], self.vae.__dict__["_decode"]

    def _encode(self, x_BCTHW: Tensor) -> Tensor:
        vae = self.vae
        if vae.config["patch_size"] is not None:
            x_BCTHW = patchify(x_BCTHW, patch_size=vae.config["patch_size"])
        chunks = [x_BCTHW[:, :, :1], *(x for x in x_BCTHW[:, :, 1:].split(4, 2) if x.shape[2] == 4)]
        vae.clear_cache()
        moments = vae.quant_conv(self._run(vae.encoder, chunks, vae._enc_feat_map))
        vae.clear_cache()
        return moments

    def _decode(self, z_BCTHW: Tensor, return_dict: bool = True) -> DecoderOutput | tuple[Tensor]:
        vae = self.vae
        vae.clear_cache()
        chunks = vae.post_quant_conv(z_BCTHW).split(1, 2)
        video = self._run(vae.decoder, chunks, vae._feat_map, first_chunk=True)
        vae.clear_cache()
        if vae.config["patch_size"] is not None:
            video = unpatchify(video, patch_size=vae.config["patch_size"])
        video = video.clamp(-1, 1)
        return DecoderOutput(sample=video) if return_dict else (video,)

    def _run(self, coder: Callable[..., Tensor], chunks: Sequence[Tensor], cache: list[Any], **first: bool) -> Tensor:
        """What all chunks become, joined in time."""
        self.spread = False
        done = [coder(chunks[0], feat_cache=cache, feat_idx=[0], **first)]
        self.spread = True
        self.kept.clear()
        rest, ranks = chunks[1:], self.axis.size
        for begin in range(0, len(rest), ranks):
            turn = rest[begin : begin + ranks]
            # In the last turn there may be ranks without a chunk: they do another's again, and nothing comes of it.
            made = coder(turn[min(self.axis.rank, len(turn) - 1)], feat_cache=cache, feat_idx=[0])
            sizes = [made.shape[2] if rank < len(turn) else 0 for rank in range(ranks)]
            done.append(gather(made.narrow(2, 0, sizes[self.axis.rank]), 2, sizes, self.axis))
        self.kept.clear()
        return torch.cat(done, 2)

    def _remember(self, conv: WanCausalConv3d, args: tuple[Any, ...]) -> tuple[Tensor, ...] | None:
        """The frames before this rank's chunk, in place of those that it saw itself."""
        if not self.spread:
            return None
        x, past = args[0], args[1] if len(args) > 1 else None
        if conv.stride[0] > 1:  # it is given one frame of the past with the chunk
            return (torch.cat([self._past(conv, x[:, :, 1:], x[:, :, :1]), x[:, :, 1:]], 2),)
        if past is None:
            past = x.new_zeros(*x.shape[:2], 2, *x.shape[3:])
        return x, self._past(conv, x, F.pad(past, (0, 0, 0, 0, 2 - past.shape[2], 0)))

    def _past(self, conv: nn.Module, x: Tensor, known: Tensor) -> Tensor:
        """As many frames before x as `known` has, which are those before the first rank's chunk in the first turn."""
        rank, ranks = self.axis.rank, self.axis.size
        frames = min(known.shape[2], x.shape[2])
        back = range(1, known.shape[2] // frames + 1)  # so many chunks back there are frames to fetch
        last = x[:, :, x.shape[2] - frames :]
        to, source = [(rank + hop) % ranks for hop in back], [(rank - hop) % ranks for hop in back]
        pieces = [last if other in to else last[:0] for other in range(ranks)]
        came = exchange(pieces, [last.shape if other in source else [0] for other in range(ranks)], self.axis)
        now = {hop: came[other] for hop, other in zip(back, source, strict=True)}
        # Of chunks before the first rank's, what was sent a turn ago counts, and in the first turn what is known.
        known_back = known.split(frames, 2)[::-1]
        before = self.kept.get(conv) or {hop: known_back[hop - rank - 1] for hop in back if hop > rank}
        self.kept[conv] = {hop: frame for hop, frame in now.items() if hop > rank}
        return torch.cat([before[hop] if hop > rank else now[hop] for hop in reversed(back)], 2)


def _without(padding: Any, left: int) -> tuple[int, ...]:
    return tuple(0 if i in (left, left + 1) else size for i, size in enumerate(padding))


def _like(flat: Sequence[Tensor], shapes: Sequence[Tensor]) -> list[Tensor]:
    return [x.view(shape.shape) for x, shape in zip(flat, shapes, strict=True)]
