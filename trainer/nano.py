"""The nano run, stage by stage: bank, tokenizer, Motion VAE, relief, roundness, latents, Single-DiT, automatic mask.

Every stage keeps what it made in the run's folder; a run that is started again goes on where it stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engine.conditions import CONDITION_CHANNELS, CONTROL_SIZES, photo_tensor
from engine.device import CPU
from engine.models.ernie import ErnieEncoder, PromptTokenizer
from engine.models.motion_vae import MotionVAE
from engine.models.product_mask import ProductMask
from engine.models.relief import Relief
from engine.models.roundness import Roundness
from engine.models.single_dit import SingleDiT
from trainer.batches import motion_batch
from trainer.checks import check_loops
from trainer.closeups import build_closeups, open_closeups
from trainer.data import batch_indices, build_bank, check_batches, open_bank
from trainer.draws import Draws
from trainer.encoders import digest_of
from trainer.loop import LossValue, Run, train
from trainer.motion_held_out import check_apart, check_closeups_apart, motion_validation
from trainer.motion_latents import encode_bank, open_latents, use_statistics
from trainer.objectives.motion_vae import fit_linear, motion_vae_loss
from trainer.objectives.product_mask import product_mask_loss
from trainer.objectives.rectified_flow import rectified_flow_loss, sample_captions, sample_conditions
from trainer.objectives.relief import relief_loss
from trainer.objectives.roundness import roundness_loss
from trainer.photos import build_photos, check_pictures, open_photos
from trainer.ranks import by_first
from trainer.recipes.nano import NanoConfig
from trainer.tokenizer import motion_prompts, train_tokenizer
from trainer.validation import check_unmeasured

STAGES = ("bank", "motion_vae", "relief", "roundness", "single_dit", "product_mask")
TOKENIZER = "tokenizer.json"  # within a run's folder


def run_nano(
    config: NanoConfig,
    folder: Path,
    stages: tuple[str, ...] = STAGES,
    minutes: float | None = None,
    device: torch.device = CPU,
) -> bool:
    """Run the stages; True when all of them are finished.

    `minutes` bounds the whole call: what is under way then is paused after its chunk, batch or step. ValueError where a
    stage lacks what an earlier one makes, or where the folder holds another recipe's work.
    """
    config.photos.check()
    unmeasured = {
        "motion_vae": config.vae,
        "relief": config.relief,
        "roundness": config.roundness,
        "product_mask": config.mask,
    }
    check_unmeasured(unmeasured, stages)
    check_loops({**unmeasured, "single_dit": config.dit}, stages, folder)
    if config.dit.validate_every and "single_dit" in stages:
        check_apart(config.bank)
    if "roundness" in stages:
        check_closeups_apart(config.closeups)
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    clips, photos = config.bank.scenes * config.bank.motions, config.photos.count
    check_batches(
        {
            "motion_vae": (config.vae.batch, clips),
            "relief": (config.relief.batch, config.bank.scenes),
            "roundness": (config.roundness.batch, config.closeups.count),
            "single_dit": (config.dit.batch, clips),
            "product_mask": (config.mask.batch, photos),
        },
        stages,
    )
    makers: dict[str, Callable[..., bool]] = {
        "bank": make_data,
        "motion_vae": partial(train_motion_vae, device=device),
        "relief": partial(train_relief, device=device),
        "roundness": partial(train_roundness, device=device),
        "single_dit": partial(train_single_dit, device=device),
        "product_mask": partial(train_product_mask, device=device),
    }
    return all(makers[stage](config, folder, deadline) for stage in STAGES if stage in stages)


def modules_of(config: NanoConfig) -> tuple[str, ...]:
    """What a run trains, as a bundle names it: what may begin at another's weights."""
    return "motion_vae", "relief", "roundness", "single_dit", "text", "product_mask"


def make_data(config: NanoConfig, folder: Path, deadline: float = math.inf) -> bool:
    """The clip bank and the photographs for the mask."""

    def make() -> bool:
        check_pictures(folder / "photos", config.photos)  # before minutes are spent on clips
        bank = build_bank(folder / "bank", config.bank, deadline)
        return build_photos(folder / "photos", config.photos, deadline) and bank

    return by_first(make)


def train_motion_vae(config: NanoConfig, folder: Path, deadline: float = math.inf, device: torch.device = CPU) -> bool:
    run = motion_vae_run(config, folder, device)
    if run.finished:
        return True
    banks = open_bank(folder / "bank", config.bank)
    sizes = dict.fromkeys(banks, config.bank.scenes * config.bank.motions)
    model = run.modules["motion_vae"]
    assert isinstance(model, MotionVAE)
    if run.step == 0 and not run.start and time.monotonic() < deadline:
        items = np.random.default_rng(config.seed).permutation(sizes["1:1"])[: config.linear_clips]
        fit_linear(model, motion_batch(banks["1:1"], items)[2])
        run.restart_average()

    def loss(step: int, generator: torch.Generator) -> LossValue:
        format, items = batch_indices(config.seed, step, sizes, config.vae.batch)
        photo, plate, fields, alpha = (x.to(run.device) for x in motion_batch(banks[format], items))
        return motion_vae_loss(model, photo, plate, fields, alpha, generator)

    return train(run, loss, deadline=deadline)


def motion_vae_run(config: NanoConfig, folder: Path, device: torch.device = CPU) -> Run:
    """The stage's modules with whatever is trained of them."""
    torch.manual_seed(config.seed)
    modules: dict[str, nn.Module] = {"motion_vae": MotionVAE().to(memory_format=torch.channels_last)}
    data = {"seed": config.seed, "bank": config.bank.described, "linear_clips": config.linear_clips}
    return Run(folder / "motion_vae", modules, config.vae, data, device=device)


def train_relief(config: NanoConfig, folder: Path, deadline: float = math.inf, device: torch.device = CPU) -> bool:
    run = relief_run(config, folder, device)
    if run.finished:
        return True
    banks = open_bank(folder / "bank", config.bank)
    model, sizes = run.modules["relief"], dict.fromkeys(banks, config.bank.scenes)
    assert isinstance(model, Relief)

    def loss(step: int, generator: torch.Generator) -> LossValue:
        format, scenes = batch_indices(config.seed + 3, step, sizes, config.relief.batch)
        photo = photo_tensor(banks[format].photo[scenes]).to(run.device)
        disparity = torch.from_numpy(banks[format].disparity[scenes]).float()[:, None].to(run.device)
        return relief_loss(model, photo, disparity, generator)

    return train(run, loss, deadline=deadline)


def relief_run(config: NanoConfig, folder: Path, device: torch.device = CPU) -> Run:
    torch.manual_seed(config.seed + 3)
    modules: dict[str, nn.Module] = {"relief": Relief().to(memory_format=torch.channels_last)}
    data = {"seed": config.seed, "bank": config.bank.described}
    return Run(folder / "relief", modules, config.relief, data, device=device)


def finished_relief(config: NanoConfig, folder: Path, device: torch.device = CPU) -> Relief:
    """The averaged relief model, frozen; ValueError where it is not trained to its end."""
    run = relief_run(config, folder, device)
    if not run.learnt:
        raise ValueError(
            f"The Single-DiT is told the relief by a finished model; {run.folder} has {run.step} of {run.config.steps} "
            f"steps. Run the stage `relief` to its end first."
        )
    run.use_average()
    model = run.modules["relief"]
    assert isinstance(model, Relief)
    return model.eval().requires_grad_(False)


def train_roundness(config: NanoConfig, folder: Path, deadline: float = math.inf, device: torch.device = CPU) -> bool:
    run = roundness_run(config, folder, device)
    if run.finished:
        return True
    if not by_first(lambda: build_closeups(folder / "closeups", config.closeups, deadline)):
        return False
    closeups, exact = open_closeups(folder / "closeups", config.closeups)
    model = run.modules["roundness"]
    assert isinstance(model, Roundness)

    def loss(step: int, generator: torch.Generator) -> LossValue:
        _, items = batch_indices(config.seed + 4, step, {"all": len(exact)}, config.roundness.batch)
        shown, rounded = photo_tensor(closeups[items]).to(run.device), torch.from_numpy(exact[items]).to(run.device)
        return roundness_loss(model, shown, rounded, generator)

    return train(run, loss, deadline=deadline)


def roundness_run(config: NanoConfig, folder: Path, device: torch.device = CPU) -> Run:
    torch.manual_seed(config.seed + 4)
    modules: dict[str, nn.Module] = {"roundness": Roundness().to(memory_format=torch.channels_last)}
    data = {"seed": config.seed, "closeups": config.closeups.described}
    return Run(folder / "roundness", modules, config.roundness, data, device=device)


def train_single_dit(config: NanoConfig, folder: Path, deadline: float = math.inf, device: torch.device = CPU) -> bool:
    run = single_dit_run(config, folder, device)
    if run.finished:
        return True
    vae, relief = finished_vae(config, folder, device), finished_relief(config, folder, device)
    banks = open_bank(folder / "bank", config.bank)

    def make() -> bool:
        if not encode_bank(config, folder, banks, vae, deadline) or time.monotonic() >= deadline:
            return False
        if not (folder / TOKENIZER).exists():
            train_tokenizer(folder / TOKENIZER, motion_prompts(banks["1:1"], config.captions, config.seed))
        return True

    if not by_first(make):
        return False
    use_statistics(vae, folder)
    latents = {format: open_latents(folder, format) for format in banks}
    sizes = {format: len(values) for format, values in latents.items()}
    dit, text = run.modules["single_dit"], run.modules["text"]
    assert isinstance(dit, SingleDiT) and isinstance(text, ErnieEncoder)
    tokenizer = PromptTokenizer.load(folder / TOKENIZER, text.config.max_tokens)

    def loss(step: int, generator: torch.Generator) -> LossValue:
        format, items = batch_indices(config.seed + 1, step, sizes, config.dit.batch)
        photo = photo_tensor(banks[format].photo[items // config.bank.motions]).to(run.device)
        rows = sample_conditions(banks[format], items, (config.seed, step))
        batch = vae.scale_latents(torch.from_numpy(latents[format][items]).float().to(run.device))
        captions = sample_captions(banks[format].words, config.extra_captions, (config.seed, 1, step))
        return rectified_flow_loss(dit, text, tokenizer, vae, relief, batch, photo, rows, captions, generator)

    validation = motion_validation(dit, text, tokenizer, vae, relief) if config.dit.validate_every else None
    return train(run, loss, deadline=deadline, validation=validation)


def single_dit_run(config: NanoConfig, folder: Path, device: torch.device = CPU) -> Run:
    """Single-DiT and text encoder, which learn together."""
    learnt_on = _learnt_on(config, folder)
    torch.manual_seed(config.seed + 1)
    dit = SingleDiT(
        condition_channels=CONDITION_CHANNELS,
        patch_size=config.patch_size,
        hidden=config.hidden,
        depth=config.depth,
        heads=config.heads,
        text_dim=config.text_width,
        rope_axes=config.rope_axes,
        control_sizes=CONTROL_SIZES,
    )
    modules: dict[str, nn.Module] = {"single_dit": dit, "text": ErnieEncoder(nlu_width=config.text_width)}
    data = {
        "seed": config.seed,
        "bank": config.bank.described,
        "motion_vae_steps": config.vae.steps,
        "relief_steps": config.relief.steps,
        "captions": config.captions,
        "extra_captions": config.extra_captions,
        **learnt_on,
    }
    return Run(folder / "single_dit", modules, config.dit, data, device=device)


def _learnt_on(config: NanoConfig, folder: Path) -> dict[str, str]:
    """Digests of what the Single-DiT learns on, once it is finished: as many steps make another one elsewhere."""
    found = {}
    for name, run in (("latents_of", motion_vae_run(config, folder)), ("relief_of", relief_run(config, folder))):
        if run.learnt:
            run.use_average()
            (module,) = run.modules.values()
            found[name] = digest_of(module, {key.partition(".")[2]: value for key, value in run.gone.items()})
    return found


def finished_vae(config: NanoConfig, folder: Path, device: torch.device = CPU) -> MotionVAE:
    """The averaged Motion VAE, frozen; ValueError where it is not trained to its end: latents of it would be kept."""
    run = motion_vae_run(config, folder, device)
    if not run.learnt:
        raise ValueError(
            f"The Single-DiT learns on the latents of a finished Motion VAE; {run.folder} has {run.step} of "
            f"{run.config.steps} steps. Run the stage `motion_vae` to its end first."
        )
    return averaged_vae(run)


def averaged_vae(run: Run) -> MotionVAE:
    """The Motion VAE of a run as it is used: averaged weights, frozen."""
    run.use_average()
    vae = run.modules["motion_vae"]
    assert isinstance(vae, MotionVAE)
    return vae.eval().requires_grad_(False)


def train_product_mask(
    config: NanoConfig, folder: Path, deadline: float = math.inf, device: torch.device = CPU
) -> bool:
    run = product_mask_run(config, folder, device)
    if run.finished:
        return True
    photos = open_photos(folder / "photos", config.photos)
    model = run.modules["product_mask"]
    assert isinstance(model, ProductMask)

    def loss(step: int, draws: Draws) -> LossValue:
        _, items = batch_indices(config.seed + 2, step, {"all": len(photos)}, config.mask.batch)
        batch = torch.from_numpy(photos[np.sort(items)]).permute(0, 3, 1, 2).float() / 255
        batch = batch.to(run.device)
        return product_mask_loss(model, batch[:, :3], batch[:, 3:], draws, draws.slice)

    return train(run, loss, deadline=deadline)


def product_mask_run(config: NanoConfig, folder: Path, device: torch.device = CPU) -> Run:
    torch.manual_seed(config.seed + 2)
    mask = ProductMask()
    modules: dict[str, nn.Module] = {"product_mask": mask.to(memory_format=torch.channels_last)}
    data = {"seed": config.seed, "photos": config.photos.described}
    return Run(folder / "product_mask", modules, config.mask, data, device=device)
