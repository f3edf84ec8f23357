"""The lora run: photos and clips are encoded once, then an adapter is trained on them by the one training loop.

The adapter is the only module of its run: its checkpoint is small, and holds nothing of the base but the digest. Ours
and not peft's: what is put on a model here leaves its modules and names as they are, so that sharding, tensor plans,
caches and quantisation find what they look for; peft swaps layers, keeps no copy of merged weights (what it subtracts
again is not what was there, bit for bit), and with accelerate it costs every start an import. Its files are read alike.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from engine.adapters import KIND, Adapter, save_adapter
from engine.bundles import Bundle
from engine.device import CPU, device_of
from engine.media.errors import MediaError
from engine.media.photo import open_photo
from engine.media.video import decode_frames
from engine.pretrained import fitting
from trainer.bundling import Card, check_folders, check_trained, provenance_of, write_whole
from trainer.checks import check_loops
from trainer.claim import check_claim, claim
from trainer.data import batch_indices, check_batches
from trainer.draws import Draws
from trainer.loop import LoopConfig, LossValue, Run, train
from trainer.lora_bases import Base, OwnBase, Sample, load_base
from trainer.objectives.times import shifted
from trainer.objectives.video_flow import TIME_SHIFT, TIME_SPREAD
from trainer.pieces import Piece, finish, gathered, key_of, make_pieces
from trainer.ranks import by_first
from trainer.recipes.lora import LoraConfig, SamplesConfig
from trainer.validation import check_unmeasured

STAGES = ("samples", "adapter")
PHOTOS, CLIPS = {".jpg", ".jpeg", ".png", ".webp"}, {".mp4", ".mov", ".m4v"}
SAMPLES, CLAIM, PIECES = "samples/samples.safetensors", "samples/samples.json", "samples/pieces"  # of a run's folder
PHOTO_KNOWN = 0.5  # of clips: learnt as the video of a given photo
DROP_TEXT = 0.1  # what guidance needs: the adapter also learns without the words


def run_lora(
    config: LoraConfig,
    folder: Path,
    stages: tuple[str, ...] = STAGES,
    minutes: float | None = None,
    device: torch.device = CPU,
) -> bool:
    """Run the stages; True when all of them are finished. ValueError says what is missing or wrong."""
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    check_batches({"adapter": (config.loop.batch, math.inf)}, stages)
    check_unmeasured({"adapter": config.loop}, stages)
    check_loops({"adapter": config.loop}, stages, folder)
    base = load_base(config)
    if "samples" in stages:
        encoded = by_first(lambda: encode_samples(config, folder, base, deadline))
        if not encoded:
            return False
    base.model.to(device)
    return "adapter" not in stages or train_adapter(config, folder, base, deadline)


def items_of(config: SamplesConfig) -> list[tuple[Path, str]]:
    """The photos and clips of the folder, by name, each with its words; ValueError where they are too few or many."""
    home = Path(config.data)
    if not config.data or not home.is_dir():
        raise ValueError(f"There is no folder of photos or clips at {config.data!r}: --set data=FOLDER.")
    files = sorted(path for path in home.iterdir() if path.suffix.lower() in PHOTOS | CLIPS)
    if not config.fewest <= len(files) <= config.most:
        raise ValueError(f"{home} holds {len(files)} photos and clips: give {config.fewest} to {config.most}.")
    return [(path, _words(path, config.prompt)) for path in files]


def encode_samples(config: SamplesConfig, folder: Path, base: Base, deadline: float = math.inf) -> bool:
    """Write latents and text features of every item, and of no words: True when all are there, False when the deadline
    came first. ValueError where others lie there.
    """
    items = items_of(config)
    made_of = described(config, base, items)
    check_claim(folder / CLAIM, made_of, "set of samples")
    if (folder / SAMPLES).exists():
        shutil.rmtree(folder / PIECES, ignore_errors=True)  # where a kill came between the two
        return True
    size = base.size(config)
    frames, height, width = size
    facts = {"base": base.bundle.digest, "part": base.part, "size": list(size), "dtype": config.dtype}
    keys = [key_of({**facts, "words": words}, [path]) for path, words in items] + [key_of(facts)]

    def make(index: int) -> Piece:
        if index == len(items):
            return _piece(base.encode(np.zeros((1, height, width, 3), np.uint8), ""))
        path, words = items[index]
        try:
            picture = open_item(path, frames, height, width)
        except MediaError as error:
            raise ValueError(f"{path.name} cannot be learnt from. {error}") from error
        return _piece(base.encode(picture, words))

    if not make_pieces(folder / PIECES, keys, make, "samples", deadline):
        return False
    claim(folder / CLAIM, made_of, "set of samples")  # now that every file is read: one that is refused is taken out
    finish(folder / PIECES, gathered(folder / PIECES, keys)[0], folder / SAMPLES)
    return True


def described(config: SamplesConfig, base: Base, items: list[tuple[Path, str]]) -> dict[str, object]:
    """What the samples were made of: another photo, another word or another base is another set."""
    digest = hashlib.sha256()
    for path, words in items:
        digest.update(f"{path.name}\0{words}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return {
        "base": base.bundle.digest,
        "part": base.part,
        "items": len(items),
        "digest": digest.hexdigest(),
        "size": list(base.size(config)),
    }


def train_adapter(config: LoraConfig, folder: Path, base: Base, deadline: float = math.inf) -> bool:
    """Train the adapter to its end (True) or to the deadline (False)."""
    run = adapter_run(config, folder, base)
    if run.finished:
        return True
    tell_batch(run, config.loop)
    *samples, unsaid = read_samples(folder)
    adapter = run.modules["adapter"]
    assert isinstance(adapter, Adapter)
    adapter.attach(base.model)

    def loss(step: int, draws: Draws) -> LossValue:
        _, items = batch_indices(config.seed, step, {"all": len(samples)}, run.config.batch)
        rng = np.random.default_rng((config.seed, 1, step))
        return adapter_loss(base, [samples[i] for i in items], unsaid, rng, draws)

    try:
        return train(run, loss, deadline=deadline)
    finally:
        adapter.detach()


def adapter_run(config: LoraConfig, folder: Path, base: Base) -> Run:
    """The adapter with whatever is trained of it; ValueError where its samples are not there or are others."""
    if not (folder / SAMPLES).exists():
        raise ValueError(f"There are no samples in {folder}. Run the stage `samples` first.")
    about = described(config, base, items_of(config))
    check_claim(folder / CLAIM, about, "set of samples")
    torch.manual_seed(config.seed)
    base.model.requires_grad_(False)
    adapter = Adapter(base.model, config.low_rank)
    loop = replace(config.loop, batch=min(config.loop.batch, len(items_of(config))))
    return Run(folder / "adapter", {"adapter": adapter}, loop, {"seed": config.seed, **about})


def tell_batch(run: Run, asked: LoopConfig) -> None:
    """Say where there are fewer photos and clips than a batch was asked to hold."""
    if run.config.batch < asked.batch and run.ranks.rank == 0:
        print(f"batches of {run.config.batch}, not {asked.batch}: there are no more photos and clips")


def adapter_loss(
    base: Base, samples: list[Sample], unsaid: Sample, rng: np.random.Generator, draws: Draws
) -> LossValue:
    """Rectified flow (arXiv 2209.03003) at times of its kind of base, mean over this rank's rows of `samples`."""
    times = (TIME_SHIFT, TIME_SPREAD) if isinstance(base, OwnBase) else (1.0, 1.0)
    said = [
        Sample(sample.latents_CThw, unsaid.text_MC, unsaid.text_mask_M) if rng.random() < DROP_TEXT else sample
        for sample in samples
    ]
    can_see = isinstance(base, OwnBase)
    known = [can_see and sample.latents_CThw.shape[1] > 1 and rng.random() < PHOTO_KNOWN for sample in samples]
    streams = [draws.of_row(row) for row in draws.rows]
    said, known = [said[row] for row in draws.rows], [known[row] for row in draws.rows]
    time_B = shifted(torch.cat([torch.randn(1, generator=stream) for stream in streams]), *times)
    noise = [torch.randn(row.latents_CThw.shape, generator=stream) for row, stream in zip(said, streams, strict=True)]
    device = device_of(base.model)
    said, noise = [sample.to(device) for sample in said], [one.to(device) for one in noise]
    return flow_error(base, said, time_B.to(device), known, noise), {"photo_known": float(np.mean(known))}


def flow_error(base: Base, samples: list[Sample], time_B: Tensor, known: list[bool], noise: list[Tensor]) -> Tensor:
    """Mean squared error of the velocity, every sample counting alike."""
    noisy = [(1 - t) * row.latents_CThw + t * n for row, t, n in zip(samples, time_B, noise, strict=True)]
    made = base.velocity(noisy, time_B, samples, known)
    errors = [
        (velocity.float() - (n - row.latents_CThw)).square().mean()
        for velocity, n, row in zip(made, noise, samples, strict=True)
    ]
    return torch.stack(errors).mean()


def read_samples(folder: Path) -> list[Sample]:
    """The samples of a run; the last is black and without words."""
    tensors = load_file(folder / SAMPLES)
    count = len(tensors) // 3
    return [Sample(*(tensors[f"{index}.{part}"] for part in ("latents", "text", "mask"))) for index in range(count)]


def export_lora(
    config: LoraConfig, folder: Path, out: Path, *, version: str, command: str, unfinished: bool = False
) -> Bundle:
    """Write the adapter bundle of the run in `folder` to the new folder `out`, whole or not at all.

    ValueError as for every export, and where the base is no longer the one that was trained on.
    """
    check_folders(folder, out)
    base = load_base(config)
    run = adapter_run(config, folder, base)
    runs = {"adapter": run}
    check_trained(folder, runs, {SAMPLES: "samples"}, unfinished)
    run.use_average()
    adapter = run.modules["adapter"]
    assert isinstance(adapter, Adapter)
    count = len(items_of(config))
    about = {"base": base.bundle.identity, "part": base.part, **adapter.config, "prompt": config.prompt}
    card = Card(
        name=f"{base.bundle.name}-{Path(config.data).name}",
        kinds=(KIND,),
        capabilities={KIND: about},
        about=f"A low-rank adapter (rank {config.rank}) of {base.part} of {base.bundle.name} {base.bundle.version} "
        f"({base.bundle.digest[:19]}), for that bundle alone,\ntrained on {count} photos or clips.",
    )
    made_from = provenance_of("trainer.recipes.lora", asdict(config), runs, command)
    made_from["data"] = f"{count} photos or clips of the run's owner, sha256 {run.recipe['data']['digest'][:16]}"
    return write_whole(out, card, version, made_from, lambda made: save_adapter(adapter, made))


def open_item(path: Path, frames: int, height: int, width: int) -> np.ndarray:
    """uint8 [T, H, W, 3]: a photo as one frame, a clip as its first frames, the middle of each that has the form."""
    if path.suffix.lower() in PHOTOS:
        return cropped(open_photo(path).rgb, height, width)[None]
    found: list[np.ndarray] = []
    for _, frame in decode_frames(path):
        found.append(cropped(frame, height, width))
        if len(found) == frames:
            break
    whole = 1 + (len(found) - 1) // 4 * 4
    if not found:
        raise ValueError(f"{path} holds no frames: take it out of the folder.")
    return np.stack(found[:whole])


def cropped(picture_HW3: np.ndarray, height: int, width: int) -> np.ndarray:
    """The largest part of the middle that has the form, brought to the size."""
    return cv2.resize(fitting.cropped(picture_HW3, width, height), (width, height), interpolation=cv2.INTER_AREA)


def _piece(sample: Sample) -> Piece:
    return Piece({"latents": sample.latents_CThw, "text": sample.text_MC, "mask": sample.text_mask_M})


def _words(path: Path, prompt: str) -> str:
    beside = path.with_suffix(".txt")
    words = beside.read_text().strip() if beside.exists() else prompt
    if not words:
        raise ValueError(f"Nothing says what {path.name} shows: write it to {beside.name}, or --set prompt='...'.")
    return words
