"""Both halves of Wan's guidance in one call: what cache and mesh need to see of a pipeline that asks for them in turns.

A pipeline calls its transformer with the prompt and then, with the same latents, without. Here the first of the two
calls computes both as one batch, asked row first, and the second is given what is there already. So the batch has the
form of our own models', and the cache's policies and the `cfg` axis work on it unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from engine.cache.bundled import BundledCache
from engine.parallel.batch import BatchSharding
from engine.parallel.mesh import Mesh
from engine.parallel.sequence import PLANS, SequencePlan
from engine.pretrained.wan import PLAN


class Halves(nn.Module):
    """A transformer on asked and unasked row at once, until `remove`. Call it as the pipeline does: it is in place.

    `unasked` [1, M, C] is the text of the other half. ValueError for another transformer than Wan's.
    """

    def __init__(self, model: nn.Module, unasked: Tensor) -> None:
        super().__init__()
        if type(model) is not WanTransformer3DModel:
            raise ValueError(f"The halves of guidance are known of Wan's transformer, not of {type(model).__name__}.")
        self.model: WanTransformer3DModel = model
        self.unasked: Tensor = unasked.to(self.model.dtype)
        self.whole: Callable[..., Any] = model.forward
        self.other: Tensor | None = None  # the unasked half, until it is asked for
        cast(Any, model).forward = self._half

    def forward(self, latents: Tensor, time: Tensor, text: Tensor, photo: Tensor | None) -> Tensor:
        """Velocity of all rows, as `WanTransformer3DModel` gives it."""
        made: Tensor = self.whole(latents, time, text, photo, return_dict=False)[0]
        return made

    def _half(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_image: Tensor | None = None,
        return_dict: bool = False,
        attention_kwargs: None = None,
    ) -> tuple[Tensor]:
        """What the pipeline calls. It wants tuples, and has no further arguments for the attention."""
        if self.other is not None:
            assert torch.equal(encoder_hidden_states, self.unasked), "after the asked half comes the unasked one"
            made, self.other = self.other, None
            return (made,)
        text = torch.cat([encoder_hidden_states, self.unasked])
        photo = None if encoder_hidden_states_image is None else _twice(encoder_hidden_states_image)
        asked, self.other = self(_twice(hidden_states), _twice(timestep), text, photo).chunk(2)
        return (asked,)

    def remove(self) -> None:
        """The transformer as it was."""
        del cast(Any, self.model).forward


PLANS[Halves] = SequencePlan(tuple(f"model.{name}" for name in PLAN.blocks), PLAN.enter, PLAN.along)


@contextmanager
def together(
    models: Sequence[nn.Module], unasked: Tensor, times: Sequence[float], cache: BundledCache, mesh: Mesh | None
) -> Iterator[None]:
    """A pipeline's transformers with both halves at once, over `cfg` and under the cache, for one request.

    Under a cache there is one transformer: its `times` are those of all steps.
    """
    with ExitStack() as stack:
        for model in models:
            halves = Halves(model, unasked)
            stack.callback(halves.remove)
            if mesh is not None and mesh.cfg.size > 1:
                stack.callback(BatchSharding(halves, mesh).remove)
            stack.enter_context(cache.request(halves, times))
        yield


def refuse_cache(transformers: Sequence[str]) -> None:
    """ValueError where a pipeline whose transformers are of these classes cannot be cached."""
    if transformers[0] != WanTransformer3DModel.__name__:
        raise ValueError(f"A cache is connected to Wan's transformer only, not to {transformers[0]}.")
    if len(transformers) > 1:
        raise ValueError("This pipeline's two transformers take turns, and no cache is calibrated for both.")


def _twice(x: Tensor) -> Tensor:
    return torch.cat([x, x])
