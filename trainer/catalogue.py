"""The recipes that there are: what configures, runs and exports each."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """A configuration and what runs and exports it, as `module:function`: imported when it is needed."""

    config: str
    run: str
    export: str
    stages: str
    modules: str = ""  # of a configuration; recipes with a base begin there and at no other's weights

    def part(self, name: str) -> Any:
        module, _, function = getattr(self, name).partition(":")
        return getattr(import_module(module), function)


MOTION_VAE = (
    "trainer.motion_vae:run_motion_vae",
    "trainer.motion_vae:export_motion_vae",
    "trainer.motion_vae:STAGES",
    "trainer.motion_vae:modules_of",
)
NANO = ("trainer.nano:run_nano", "trainer.export:export_nano", "trainer.nano:STAGES", "trainer.nano:modules_of")
TINY = (
    "trainer.tiny_video:run_tiny_video",
    "trainer.export:export_tiny_video",
    "trainer.tiny_video:STAGES",
    "trainer.tiny_video:modules_of",
)
DISTIL = ("trainer.distil:run_distil", "trainer.distil:export_distil", "trainer.distil:STAGES")
DPO = ("trainer.dpo:run_dpo", "trainer.dpo:export_dpo", "trainer.dpo:STAGES")
LORA = ("trainer.lora:run_lora", "trainer.lora:export_lora", "trainer.lora:STAGES")
LARGE = (
    "trainer.large:run_large",
    "trainer.large_export:export_large",
    "trainer.large:STAGES",
    "trainer.large:modules_of",
)
PROMPTS = ("trainer.prompts:run_prompts", "trainer.prompts:export_prompts", "trainer.prompts:STAGES")
SFT = ("trainer.sft:run_sft", "trainer.sft:export_sft", "trainer.sft:STAGES")
RECIPES = {
    "distil": Recipe("trainer.recipes.distil:distil", *DISTIL),
    "distil_smoke": Recipe("trainer.recipes.distil:distil_smoke", *DISTIL),
    "dpo": Recipe("trainer.recipes.dpo:dpo", *DPO),
    "dpo_smoke": Recipe("trainer.recipes.dpo:dpo_smoke", *DPO),
    "lora": Recipe("trainer.recipes.lora:lora", *LORA),
    "motion_vae": Recipe("trainer.recipes.motion_vae:motion_vae", *MOTION_VAE),
    "motion_vae_smoke": Recipe("trainer.recipes.motion_vae:motion_vae_smoke", *MOTION_VAE),
    "multimodal_dit_13b": Recipe("trainer.recipes.multimodal_dit_13b:multimodal_dit_13b", *LARGE),
    "multimodal_dit_13b_smoke": Recipe("trainer.recipes.multimodal_dit_13b:multimodal_dit_13b_smoke", *LARGE),
    "multimodal_dit_300b": Recipe("trainer.recipes.multimodal_dit_300b:multimodal_dit_300b", *LARGE),
    "nano": Recipe("trainer.recipes.nano:nano", *NANO),
    "nano_smoke": Recipe("trainer.recipes.nano:nano_smoke", *NANO),
    "prompts": Recipe("trainer.recipes.prompts:prompts", *PROMPTS),
    "prompts_smoke": Recipe("trainer.recipes.prompts:prompts_smoke", *PROMPTS),
    "single_dit_2b": Recipe("trainer.recipes.single_dit_2b:single_dit_2b", *LARGE),
    "single_dit_2b_smoke": Recipe("trainer.recipes.single_dit_2b:single_dit_2b_smoke", *LARGE),
    "sft": Recipe("trainer.recipes.sft:sft", *SFT),
    "tiny_video": Recipe("trainer.recipes.tiny_video:tiny_video", *TINY),
    "tiny_video_smoke": Recipe("trainer.recipes.tiny_video:tiny_video_smoke", *TINY),
}
