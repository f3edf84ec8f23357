"""What every model here is: a diffusers model with a registered configuration, weights in safetensors."""

from __future__ import annotations

from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin


class Model(ModelMixin, ConfigMixin):  # type: ignore[misc]  # both name the same configuration file
    """Loading, LoRA, hooks and quantisation of the diffusers ecosystem work on it."""
