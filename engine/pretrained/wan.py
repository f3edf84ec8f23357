"""Wan's transformer over several devices, from outside: our exact sequence parallelism instead of its own attention.

Video tokens are cut unevenly over the ranks, as for our own models; rotary table and per-token times go with them, text
and photo stay whole on every rank. diffusers' own way needs lengths and heads that divide.

Legend: B batch, L own video tokens, M tokens of text or photo, D width, N heads, H head width.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any, cast

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from engine.attention.dispatch import Attention
from engine.parallel.collectives import part
from engine.parallel.mesh import Mesh
from engine.parallel.sequence import PLANS, VIDEO, SequencePlan, SequenceSharding

TEXT_TOKENS = 512  # the length that every Wan pads its text to; what stands before it is the photo
PLAN = SequencePlan(blocks=("blocks",), enter={"hidden_states": (VIDEO, 1)}, along={"rotary_emb": (VIDEO, 1)})
PLANS[cast(type[nn.Module], WanTransformer3DModel)] = PLAN


class Spread:
    """A WanTransformer3DModel whose video tokens lie on all ranks of the sequence, until `remove` or the end of a
    `with`. The ranks of a sequence call it with the same, whole arguments and get the whole result.

    ValueError for another model, or a mesh with other axes. `cfg` is not spread here, but by `halves`.
    """

    def __init__(self, model: nn.Module, mesh: Mesh, attention: Attention | None = None) -> None:
        refuse_mesh(type(model).__name__, mesh)
        self.undo: ExitStack = ExitStack()
        if mesh.sequence.size == 1:
            return
        blocks: Any = model.blocks
        for attn in (attn for block in blocks for attn in (block.attn1, block.attn2)):
            self.undo.callback(attn.set_processor, attn.processor)
            self.undo.callback(delattr, attn, "attend")
            attn.attend = Attention()
            attn.set_processor(WanProcessor())
        self.undo.callback(SequenceSharding(model, mesh, attention or Attention()).remove)

        def cut_times(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            """Wan 2.2 TI2V has a time for each token [B, L, 6, D]; elsewhere one time is for all of them."""
            time = kwargs["temb"]
            return args, kwargs | {"temb": part(time, 1, mesh.sequence) if time.ndim == 4 else time}

        for block in blocks:
            self.undo.callback(block.register_forward_pre_hook(cut_times, with_kwargs=True).remove)

    def remove(self) -> None:
        """The model as it was."""
        self.undo.close()

    def __enter__(self) -> Spread:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.remove()


def refuse_mesh(transformer: str, mesh: Mesh) -> None:
    """ValueError where a transformer of this class is none that can be spread, or the mesh has other axes."""
    if transformer != WanTransformer3DModel.__name__:
        raise ValueError(f"There is no sequence plan for {transformer} yet, only for Wan's transformer.")
    if mesh.sequence.size * mesh.cfg.size != mesh.shape.world:
        raise ValueError(f"Wan is spread over cfg, ulysses and ring only, not over {mesh.shape}.")


class WanProcessor:
    """Wan's attention through our dispatch: `attn.attend`, which may run over several ranks."""

    _attention_backend = None
    _parallel_config = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        assert attention_mask is None, "Wan has no masks"
        x_BLD = hidden_states
        q_BNLH = _heads(attn.norm_q(attn.to_q(x_BLD)), attn.heads)
        if encoder_hidden_states is None:
            k_BNLH = _heads(attn.norm_k(attn.to_k(x_BLD)), attn.heads)
            v_BNLH = _heads(attn.to_v(x_BLD), attn.heads)
            if rotary_emb is not None:
                q_BNLH, k_BNLH = _rotated(q_BNLH, rotary_emb), _rotated(k_BNLH, rotary_emb)
            out_BNLH = attn.attend(q_BNLH, k_BNLH, v_BNLH, role="self")
        else:
            text_BMD, photo_BMD = encoder_hidden_states, None
            if attn.add_k_proj is not None:
                photo_BMD, text_BMD = text_BMD[:, :-TEXT_TOKENS], text_BMD[:, -TEXT_TOKENS:]
            k_BNMH = _heads(attn.norm_k(attn.to_k(text_BMD)), attn.heads)
            out_BNLH = attn.attend(q_BNLH, k_BNMH, _heads(attn.to_v(text_BMD), attn.heads), role="cross")
            if photo_BMD is not None:
                k_BNMH = _heads(attn.norm_added_k(attn.add_k_proj(photo_BMD)), attn.heads)
                v_BNMH = _heads(attn.add_v_proj(photo_BMD), attn.heads)
                out_BNLH = out_BNLH + attn.attend(q_BNLH, k_BNMH, v_BNMH, role="cross")
        out_BLD = out_BNLH.transpose(1, 2).flatten(2).type_as(x_BLD)
        return attn.to_out[1](attn.to_out[0](out_BLD))


def _heads(x_BLD: Tensor, heads: int) -> Tensor:
    return x_BLD.unflatten(2, (heads, -1)).transpose(1, 2)


def _rotated(x_BNLH: Tensor, rotary_emb: tuple[Tensor, Tensor]) -> Tensor:
    """Neighbouring pairs of channels turned by their angle; the tables [1, L, 1, H] hold each angle twice."""
    cos, sin = (table.transpose(1, 2)[..., ::2] for table in rotary_emb)
    a, b = x_BNLH.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).type_as(x_BNLH)
