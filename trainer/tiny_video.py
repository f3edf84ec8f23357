"""The tiny_video run, stage by stage: bank, text, video VAE, latents, and the two transformers side by side.

Every stage keeps what it made in the run's folder; a run that is started again goes on where it stopped. When the
latents are there, `single_dit` and `multimodal_dit` may be run by two processes at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

from datapipe.worlds.film import caption
from datapipe.worlds.motion import KEYS
from engine.costs import check_size
from engine.device import CPU
from engine.latent_video import SPACE, TIME
from engine.models.ernie import ErnieEncoder, PromptTokenizer
from engine.models.multimodal_dit import MultimodalDiT
from engine.models.single_dit import SingleDiT
from engine.models.video_dit import VideoDiT
from trainer.checkpoint import saved_files
from trainer.checks import check_loops
from trainer.data import batch_indices, check_batches
from trainer.draws import Draws
from trainer.encoders import check_encoder, digest_of, encoder_of
from trainer.film_held_out import check_apart, film_validation
from trainer.film_latents import BOXED_EVERY, encode_bank, open_latents, with_boxes
from trainer.films import FilmBank, build_films, open_films
from trainer.loop import LossValue, Run, train
from trainer.objectives.text_facts import FactHeads, facts_of, text_facts_loss
from trainer.objectives.video_flow import DROP_TEXT, sample_tasks, video_flow_loss
from trainer.objectives.video_vae import (
    Principal,
    begin,
    principal_loss,
    video_tensor,
    video_vae_loss,
    wide_layout,
)
from trainer.ranks import by_first, in_turn
from trainer.recipes.tiny_video import TinyVideoConfig
from trainer.replicas import check_layout, spread_over
from trainer.tokenizer import train_tokenizer
from trainer.validation import check_unmeasured

STAGES = ("bank", "text", "video_vae", "latents", "single_dit", "multimodal_dit")
TOKENIZER, LATENTS = "tokenizer.json", "latents"  # within a run's folder
TIME_HALVINGS = [True, True]  # of the video VAE, at each level


def run_tiny_video(
    config: TinyVideoConfig,
    folder: Path,
    stages: tuple[str, ...] = STAGES,
    minutes: float | None = None,
    device: torch.device = CPU,
) -> bool:
    """Run the stages; True when all of them are finished.

    `minutes` bounds the whole call: what is under way then is paused after its chunk, batch or step. ValueError where a
    stage lacks what an earlier one makes, or where the folder holds another recipe's work.
    """
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    _check_size(config)
    films, dit = config.films.scenes * config.films.motions, config.dit_loop.batch
    batches = {"video_vae": config.vae_loop.batch, "single_dit": dit, "multimodal_dit": dit}
    check_batches({"text": (config.text_loop.batch, math.inf)}, stages)  # captions without end
    check_batches({name: (batch, films) for name, batch in batches.items()}, stages)
    makers: dict[str, Callable[..., bool]] = {
        "bank": make_films_bank,
        "text": partial(train_text, device=device),
        "video_vae": partial(train_video_vae, device=device),
        "latents": partial(encode_films, device=device),
        "single_dit": partial(train_single_dit, device=device),
        "multimodal_dit": partial(train_multimodal_dit, device=device),
    }
    parts = {"text": config.text_loop, "video_vae": config.vae_loop}
    check_unmeasured(parts, stages)
    check_loops({**parts, "single_dit": config.dit_loop, "multimodal_dit": config.dit_loop}, stages, folder)
    if {"single_dit", "multimodal_dit"} & {*stages}:
        check_layout(config.layout, config.memory)
        if config.dit_loop.validate_every:
            check_apart(config.films)
    if {"text", "video_vae"} & {*stages}:
        _check_begun(config, folder, device)
    return all(makers[stage](config, folder, deadline) for stage in STAGES if stage in stages)


def _check_size(config: TinyVideoConfig) -> None:
    """ValueError where a transformer could not make the films: before they are made."""
    vae = {"temperal_downsample": TIME_HALVINGS, **config.video_vae}
    for dit in (config.single_dit, config.multimodal_dit):
        check_size(dit, vae, KEYS, config.films.height, config.films.width)


def _check_begun(config: TinyVideoConfig, folder: Path, device: torch.device) -> None:
    """ValueError where a transformer has learnt on other parts than are asked for: before these are trained further."""
    for name, made in (("single_dit", single_dit_run), ("multimodal_dit", multimodal_dit_run)):
        if saved_files(folder / name):
            made(config, folder, device)


def modules_of(config: TinyVideoConfig) -> tuple[str, ...]:
    """What a run trains, as a bundle names it: what may begin at another's weights."""
    return "text", "heads", "vae", "single_dit", "multimodal_dit"


def make_films_bank(config: TinyVideoConfig, folder: Path, deadline: float = math.inf) -> bool:
    return by_first(lambda: build_films(folder / "bank", config.films, deadline))


def train_text(config: TinyVideoConfig, folder: Path, deadline: float = math.inf, device: torch.device = CPU) -> bool:
    """The text encoder learns to tell what captions say; both transformers read it as it is then."""
    films = open_films(folder / "bank", config.films)
    run = text_run(config, folder, films, device)
    with in_turn():
        if not (folder / TOKENIZER).exists():
            said = (text for text, _ in _captions(films, config.captions, (config.seed, 9)))
            train_tokenizer(folder / TOKENIZER, said)
    text, heads = run.modules["text"], run.modules["heads"]
    assert isinstance(text, ErnieEncoder) and isinstance(heads, FactHeads)
    tokenizer = PromptTokenizer.load(folder / TOKENIZER, text.config["max_tokens"])

    def loss(step: int, draws: Draws) -> LossValue:
        captions = _captions(films, config.text_loop.batch, (config.seed, 1, step))
        return text_facts_loss(text, heads, tokenizer, captions[draws.slice])

    return train(run, loss, deadline=deadline)


def text_run(config: TinyVideoConfig, folder: Path, films: FilmBank, device: torch.device = CPU) -> Run:
    torch.manual_seed(config.seed)
    text = ErnieEncoder(**config.text)
    heads = FactHeads(facts_of(films.words), text.config.nlu_width)
    data = {"seed": config.seed, "films": config.films.described, "captions": config.captions}
    return Run(folder / "text", {"text": text, "heads": heads}, config.text_loop, data, device=device)


def train_video_vae(
    config: TinyVideoConfig, folder: Path, deadline: float = math.inf, device: torch.device = CPU
) -> bool:
    run = video_vae_run(config, folder, device)
    if run.finished:
        return True
    films = open_films(folder / "bank", config.films)
    vae = run.modules["vae"]
    assert isinstance(vae, AutoencoderKLWan)
    principal = principal_of(config, films).to(run.device)

    def loss(step: int, draws: Draws) -> LossValue:
        _, items = batch_indices(config.seed + 1, step, {"all": len(films)}, config.vae_loop.batch)
        video = video_tensor(films.frames[np.sort(items)[draws.slice]]).to(run.device)
        if step % 2:  # what is painted is painted mirrored too; captions play no part here
            video = video.flip(-1)
        if step < config.principal_steps and not run.start:
            return principal_loss(vae, video[:, :, : 1 + TIME], principal, draws)
        return video_vae_loss(vae, video, draws)

    return train(run, loss, deadline=deadline)


def principal_of(config: TinyVideoConfig, films: FilmBank) -> Principal:
    """What the video VAE begins with, and by which the transformers weigh its latents."""
    chosen = np.random.default_rng(config.seed).permutation(len(films))[: config.principal_films]
    return Principal.fit(video_tensor(films.frames[np.sort(chosen)]), config.latent_channels)


def video_vae_run(config: TinyVideoConfig, folder: Path, device: torch.device = CPU) -> Run:
    torch.manual_seed(config.seed + 1)
    begun = {"films": config.principal_films, "steps": config.principal_steps}
    data = {"seed": config.seed, "films": config.films.described, "principal": begun}
    return Run(folder / "video_vae", {"vae": make_vae(config)}, config.vae_loop, data, device=device)


def make_vae(config: TinyVideoConfig) -> AutoencoderKLWan:
    patch, channels = config.video_vae["patch_size"], config.latent_channels
    vae = AutoencoderKLWan(
        **config.video_vae,
        z_dim=channels,
        temperal_downsample=TIME_HALVINGS,
        in_channels=3 * patch * patch,
        out_channels=3 * patch * patch,
        latents_mean=[0.0] * channels,
        latents_std=[1.0] * channels,
        scale_factor_temporal=TIME,
        scale_factor_spatial=SPACE,
    )
    begin(vae)
    return wide_layout(vae)


def encode_films(config: TinyVideoConfig, folder: Path, deadline: float = math.inf, device: torch.device = CPU) -> bool:
    """The films as latents; True when all are encoded, False when the deadline came first."""
    open_films(folder / "bank", config.films)
    run = video_vae_run(config, folder, device)  # by all ranks: a checkpoint of several is read together
    if not run.learnt:
        raise ValueError(
            f"Latents are of a finished video VAE; {run.folder} has {run.step} of {run.config.steps} steps. Run the "
            f"stage `video_vae` to its end first."
        )
    vae = averaged_vae(run)
    return by_first(lambda: encode_bank(config, folder / LATENTS, vae, deadline, device))


def averaged_vae(run: Run) -> AutoencoderKLWan:
    """The video VAE of a run as it is used: averaged weights."""
    run.use_average()
    vae = run.modules["vae"].eval()
    assert isinstance(vae, AutoencoderKLWan)
    return vae


def train_single_dit(
    config: TinyVideoConfig, folder: Path, deadline: float = math.inf, device: torch.device = CPU
) -> bool:
    return _train_dit(config, folder, single_dit_run(config, folder, device), "single_dit", deadline)


def train_multimodal_dit(
    config: TinyVideoConfig, folder: Path, deadline: float = math.inf, device: torch.device = CPU
) -> bool:
    return _train_dit(config, folder, multimodal_dit_run(config, folder, device), "multimodal_dit", deadline)


def single_dit_run(config: TinyVideoConfig, folder: Path, device: torch.device = CPU) -> Run:
    return _dit_run(config, folder, SingleDiT, "single_dit", device)


def multimodal_dit_run(config: TinyVideoConfig, folder: Path, device: torch.device = CPU) -> Run:
    return _dit_run(config, folder, MultimodalDiT, "multimodal_dit", device)


def _dit_run(
    config: TinyVideoConfig, folder: Path, kind: type[SingleDiT | MultimodalDiT], name: str, device: torch.device
) -> Run:
    text_of = _text_of(config, folder)
    torch.manual_seed(config.seed + 2)
    channels = config.latent_channels
    sizes = {"in_channels": channels, "condition_channels": channels + config.mask_channels}
    dit = kind(**sizes, **getattr(config, name), text_dim=config.text["nlu_width"])
    data = {"seed": config.seed, "films": config.films.described, "captions": config.captions, "boxed": BOXED_EVERY}
    data |= {"text_steps": config.text_loop.steps, "video_vae_steps": config.vae_loop.steps}
    data |= {"latents_of": encoder} if (encoder := encoder_of(folder / LATENTS)) else {}
    data |= {"text_of": text_of} if text_of else {}
    return Run(folder / name, {name: dit}, config.dit_loop, data, spread_over(config.layout, config.memory), device)


def _text_of(config: TinyVideoConfig, folder: Path) -> str | None:
    """The digest of the text encoder, once it is finished: as many steps make another one elsewhere."""
    if not saved_files(folder / "text"):
        return None
    run = text_run(config, folder, open_films(folder / "bank", config.films))
    run.use_average()
    return digest_of(run.modules["text"]) if run.finished else None


def _train_dit(config: TinyVideoConfig, folder: Path, run: Run, name: str, deadline: float) -> bool:
    if run.finished:
        return True
    latents = open_latents(config, folder / LATENTS)
    vae = averaged_vae(video_vae_run(config, folder, run.device))
    check_encoder(folder / LATENTS, vae, "video VAE")
    films = open_films(folder / "bank", config.films)
    text = trained_text(config, folder, films, run.device)
    tokenizer = PromptTokenizer.load(folder / TOKENIZER, text.config["max_tokens"])
    dit, weights_C = run.modules[name], principal_of(config, films).weights.to(run.device)
    assert isinstance(dit, VideoDiT)

    def loss(step: int, draws: Draws) -> LossValue:
        _, items = batch_indices(config.seed + 3, step, {"all": len(films)}, config.dit_loop.batch)
        rng = np.random.default_rng((config.seed, 2, step))
        tasks = sample_tasks(len(items), rng)
        items = with_boxes(items, tasks)
        prompts = [caption(*films.shown(item), rng)[0] if rng.random() >= DROP_TEXT else "" for item in items]
        tasks, prompts = tasks[draws.slice], prompts[draws.slice]
        clips, boxed, boxes = latents.batch(items[draws.slice], tasks)
        token_ids, token_mask = (x.to(run.device) for x in tokenizer(prompts))
        with torch.no_grad():
            features = text(token_ids, token_mask)
        clips, boxed = clips.to(run.device), boxed.to(run.device)
        return video_flow_loss(dit, clips, boxed, boxes, tasks, features, token_mask, weights_C, draws)

    size, validation = (config.films.height, config.films.width), None
    if config.dit_loop.validate_every:
        validation = film_validation(dit, text, tokenizer, vae, latents, weights_C, size)
    return train(run, loss, deadline=deadline, validation=validation)


def trained_text(config: TinyVideoConfig, folder: Path, films: FilmBank, device: torch.device = CPU) -> ErnieEncoder:
    """The averaged text encoder, frozen; ValueError where it is not trained to its end: both transformers share it."""
    run = text_run(config, folder, films, device)
    if not run.learnt:
        raise ValueError(
            f"The transformers learn on a finished text encoder; {run.folder} has {run.step} of {run.config.steps} "
            f"steps. Run the stage `text` to its end first."
        )
    run.use_average()
    text = run.modules["text"]
    assert isinstance(text, ErnieEncoder)
    return text.eval().requires_grad_(False)


def _captions(films: FilmBank, count: int, seed: tuple[int, ...]) -> list[tuple[str, dict[str, str]]]:
    """Captions of films drawn by seed, with what they say."""
    rng = np.random.default_rng(seed)
    return [caption(*films.shown(int(item)), rng) for item in rng.integers(0, len(films), count)]
