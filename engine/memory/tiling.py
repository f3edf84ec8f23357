"""The video VAE (diffusers' AutoencoderKLWan) on one device in strips of rows: the same numbers in less memory.

What fills the memory is what the layers at full resolution hold, most of all the frames that each causal convolution
remembers. Here a strip goes through all frames before the next one begins, so only one strip is held at a time. The
middle, whose attention sees the whole frame, is done whole at the latents' resolution, before the strips (decode) or
after them (encode).

A strip is read with as many rows more on each side as its result depends on, counted layer by layer. At an edge that
is none of the picture, a convolution reads zeros that are not there, so its outermost rows come out wrong: it is
those, and only those, that are cropped before they can be read. Nothing is blended. The price is that the rows around
each strip are done more than once: little for decoding, whose margin shrinks as resolution grows, and more for
encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    AutoencoderKLWan,
    WanDecoder3d,
    WanEncoder3d,
    WanResample,
    WanResidualBlock,
    patchify,
    unpatchify,
)
from diffusers.models.autoencoders.vae import DecoderOutput
from torch import Tensor, nn

from engine.parallel.vae import check

PAST = 2  # frames that a causal convolution of three reads before its own


class Strips:
    """A VAE whose `encode` and `decode` go strip by strip, until `remove` or the end of a `with`; without gradients.

    `rows` is the height of a strip in latent rows. Not together with `ParallelVae`, under which each rank holds a strip
    only anyway. ValueError where the VAE is of another class, or its own tiling is on, or a strip has no row.
    """

    def __init__(self, vae: AutoencoderKLWan, rows: int) -> None:
        check(vae)
        if rows < 1:
            raise ValueError(f"A strip needs at least one latent row, not {rows}.")
        self.vae, self.rows, self.patch = vae, rows, vae.config["patch_size"] or 1
        vae.__dict__.update(_encode=self._encode, _decode=self._decode)

    def remove(self) -> None:
        """The VAE as it was."""
        del self.vae.__dict__["_encode"], self.vae.__dict__["_decode"]

    def __enter__(self) -> Strips:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.remove()

    def _decode(self, z_BCTHW: Tensor, return_dict: bool = True) -> DecoderOutput | tuple[Tensor]:
        decoder = self.vae.decoder
        middle_BCTHW = self._decode_middle(self.vae.post_quant_conv(z_BCTHW))
        batch, _, frames, height, width = middle_BCTHW.shape
        scale = self.patch * 2 ** sum(_scales(block) for block in decoder.up_blocks)
        longer = 2 ** sum(isinstance(m, WanResample) and m.mode == "upsample3d" for m in decoder.modules())
        channels = decoder.conv_out.out_channels // self.patch**2
        video = z_BCTHW.new_empty(batch, channels, 1 + (frames - 1) * longer, height * scale, width * scale)
        for start in range(0, height, self.rows):
            stop, time = min(start + self.rows, height), 0
            for piece in self._decode_strip(middle_BCTHW, start, stop):
                piece = unpatchify(piece, patch_size=self.patch)
                video[:, :, time : time + piece.shape[2], start * scale : stop * scale] = piece.clamp(-1, 1)
                time += piece.shape[2]
        return DecoderOutput(sample=video) if return_dict else (video,)

    def _decode_middle(self, x_BCTHW: Tensor) -> Tensor:
        decoder, past, done = self.vae.decoder, Past(self.vae.decoder), []
        for frame in x_BCTHW.split(1, 2):
            past.index[0] = 0
            done.append(decoder.mid_block(past.through(decoder.conv_in, frame), **past.given))
        return torch.cat(done, 2)

    def _decode_strip(self, middle_BCTHW: Tensor, start: int, stop: int) -> Iterator[Tensor]:
        """The strip of each chunk."""
        decoder, past = self.vae.decoder, Past(self.vae.decoder)
        margins = decode_margins(decoder)
        for number, x in enumerate(middle_BCTHW.split(1, 2)):
            past.index[0] = 0
            rows = Rows.all(middle_BCTHW.shape[3], start, stop)
            for block, margin in zip(decoder.up_blocks, margins, strict=True):
                x = block(rows.crop(x, margin), **past.given, first_chunk=number == 0)
                rows.scale(_scales(block))
            x = decoder.nonlinearity(decoder.norm_out(rows.crop(x, 1)))
            yield rows.crop(past.through(decoder.conv_out, x), 0)

    def _encode(self, x_BCTHW: Tensor) -> Tensor:
        unit = self.patch * 2 ** sum(_scales(block) for block in self.vae.encoder.down_blocks)
        units = max(1, x_BCTHW.shape[3] // unit)
        strips = []
        for start in range(0, units, self.rows):
            # The last strip also has the pixels that make no latent row.
            stop = (start + self.rows) * unit if start + self.rows < units else x_BCTHW.shape[3]
            pieces = self._encode_strip(x_BCTHW, start * unit // self.patch, stop // self.patch)
            strips.append(torch.cat(list(pieces), 2))
        return self.vae.quant_conv(self._encode_middle(torch.cat(strips, 3)))

    def _encode_strip(self, x_BCTHW: Tensor, start: int, stop: int) -> Iterator[Tensor]:
        """The strip of each chunk, as the middle takes it; rows are counted in patches."""
        encoder, past = self.vae.encoder, Past(self.vae.encoder)
        first, *margins = encode_margins(encoder)
        for chunk in [x_BCTHW[:, :, :1], *(x for x in x_BCTHW[:, :, 1:].split(4, 2) if x.shape[2] == 4)]:
            past.index[0] = 0
            rows = Rows.all(x_BCTHW.shape[3] // self.patch, start, stop)
            x = past.through(encoder.conv_in, rows.crop(patchify(chunk, patch_size=self.patch), first))
            for block, margin in zip(encoder.down_blocks, margins, strict=True):
                x = block(rows.crop(x, margin), **past.given)
                rows.scale(-_scales(block))
            yield rows.crop(x, 0)

    def _encode_middle(self, x_BCTHW: Tensor) -> Tensor:
        encoder, past, done = self.vae.encoder, Past(self.vae.encoder), []
        for frame in x_BCTHW.split(1, 2):
            past.index[0] = 0
            frame = encoder.nonlinearity(encoder.norm_out(encoder.mid_block(frame, **past.given)))
            done.append(past.through(encoder.conv_out, frame))
        return torch.cat(done, 2)


class Past:
    """What the causal convolutions of a coder remember of the chunk before, in the form that its blocks take it."""

    def __init__(self, coder: nn.Module) -> None:
        self.index = [0]  # which convolution is next; to be set to 0 before each chunk
        count = sum(isinstance(module, nn.Conv3d) for module in coder.modules())
        self.given: dict[str, Any] = {"feat_cache": [None] * count, "feat_idx": self.index}

    def through(self, conv: nn.Module, x_BCTHW: Tensor) -> Tensor:
        """A convolution that stands outside the blocks."""
        cache, at = self.given["feat_cache"], self.index[0]
        before = cache[at]
        last = x_BCTHW[:, :, -PAST:]
        cache[at] = last.clone() if before is None else torch.cat([before, last], 2)[:, :, -PAST:]
        self.index[0] += 1
        return conv(x_BCTHW, before)


@dataclass
class Rows:
    """Of a picture of `height` rows, those that are asked for and those that a tensor holds, at its own resolution."""

    height: int
    start: int
    stop: int
    first: int
    last: int

    @classmethod
    def all(cls, height: int, start: int, stop: int) -> Rows:
        """The whole picture is held."""
        return cls(height, start, stop, 0, height)

    def crop(self, x_BCTHW: Tensor, margin: int) -> Tensor:
        """The rows that are asked for and so many on each side, where the picture has them."""
        held = self.first
        self.first, self.last = max(0, self.start - margin), min(self.height, self.stop + margin)
        return x_BCTHW.narrow(3, self.first - held, self.last - self.first)

    def scale(self, octaves: int) -> None:
        """The tensor has become so many times twice as high."""
        for name, rows in vars(self).items():
            setattr(self, name, rows << octaves if octaves >= 0 else rows >> -octaves)


def decode_margins(decoder: WanDecoder3d) -> list[int]:
    """How many rows of its input on each side of a strip each block of the decoder needs.

    Two for each residual block; before upsampling half as many as after it, whose convolution reads one more.
    """
    margin, margins = 1, []  # the last convolution's
    for block in reversed(decoder.up_blocks):
        if _scales(block):
            margin = (margin + 2) // 2
        margin += 2 * _residual_blocks(block)
        margins.append(margin)
    return margins[::-1]


def encode_margins(encoder: WanEncoder3d) -> list[int]:
    """The same for the encoder's first convolution and its blocks, rounded up to whole rows of the latents.

    Row i after downsampling is made of rows 2 i to 2 i + 2 before it.
    """
    margin, unit, margins = 0, 1, []
    for block in reversed(encoder.down_blocks):
        if _scales(block):
            margin, unit = 2 * margin + 1, 2 * unit
        margin += 2 * _residual_blocks(block)
        margins.append(-(-margin // unit) * unit)
    margins.append(-(-(margin + 1) // unit) * unit)
    return margins[::-1]


def _residual_blocks(block: nn.Module) -> int:
    return sum(isinstance(module, WanResidualBlock) for module in block.modules())


def _scales(block: nn.Module) -> int:
    """How many times a block halves or doubles rows and columns: once or not at all."""
    return sum(isinstance(module, WanResample) for module in block.modules())
