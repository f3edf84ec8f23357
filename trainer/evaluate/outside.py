"""Judges of others, which need weights that are not shipped: CLIP, ArcFace, VBench. Without them: not measured.

Each is an object that takes films and gives figures. Weights are safetensors; VBench is a program of its own, since it
needs other versions of torch and numpy than this house.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.media.video import write_frames
from trainer.evaluate.arcface import load_arcface
from trainer.evaluate.cases import OURS, Case
from trainer.evaluate.figures import Figure

MISSING = {
    "CLIP": ("--clip FOLDER", "a transformers CLIP model with its tokenizer: likeness to the photo and to the prompt"),
    "ArcFace": ("--arcface FILE", "an IResNet of insightface as safetensors: likeness of faces"),
    "VBench": ("--vbench COMMAND", "the program `vbench` of an environment of its own: its custom-video dimensions"),
}
DIMENSIONS = (
    "subject_consistency",
    "background_consistency",
    "motion_smoothness",
    "dynamic_degree",
    "aesthetic_quality",
    "imaging_quality",
)  # those of VBench (arXiv 2311.17982) that judge videos which are not of its own prompts
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP (arXiv 2103.00020)
PERSON = "person"  # the kind of scene product that has a face
Judged = list[tuple[Case, np.ndarray]]


class Judge(Protocol):
    """Judges all films of a run together."""

    name: str

    def figures(self, films: Judged) -> list[Figure]:
        """What it says of them."""


def load_judges(clip: Path | None, arcface: Path | None, vbench: str | None) -> list[Judge]:
    """The judges whose weights are given. ValueError for what is not there or is not what it should be."""
    judges: list[Judge] = []
    for path in filter(None, (clip, arcface)):
        if not path.exists():
            raise ValueError(f"There are no weights at {path}.")
    if clip is not None:
        judges.append(Clip(clip))
    if arcface is not None:
        judges.append(ArcFace(arcface))
    if vbench is not None:
        judges.append(VBench(vbench))
    return judges


def outside_figures(judges: list[Judge], films: Judged) -> list[Figure]:
    """The figures of all judges; of one that is not there a line that says so."""
    found = [figure for judge in judges for figure in judge.figures(films)]
    there = {judge.name for judge in judges}
    absent = [name for name in MISSING if name not in there]
    return found + [
        Figure(name, "", "higher", f"Not measured: {what} ({option}).", {})
        for name in absent
        for option, what in [MISSING[name]]
    ]


class Clip:
    """Likeness in CLIP's space: of the last frame to the photo (CLIP-I), and of the frames to the prompt (CLIP-T)."""

    name = "CLIP"

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer, CLIPModel

        try:
            self.model = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
            self.words = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, KeyError) as error:
            raise ValueError(f"{folder} is no CLIP model with its tokenizer ({str(error).splitlines()[0]}).") from error

    @torch.no_grad()
    def figures(self, films: Judged) -> list[Figure]:
        to_photo, to_prompt = [], []
        for case, film in films:
            frames = self._seen(film[::4])
            to_photo.append(float(frames[-1] @ self._seen(case.photo[None])[0]))
            to_prompt.append(float((frames @ self._said(case.prompt)).mean()))
        return [
            _mean_figure("CLIP-I", "The last frame's likeness to the photo (cosine).", to_photo),
            _mean_figure("CLIP-T", "Mean likeness of the frames to the prompt (cosine).", to_prompt),
        ]

    def _seen(self, frames: np.ndarray) -> Tensor:
        side = self.model.config.vision_config.image_size
        values = _square(frames, side) / 255
        pixels = (values - torch.tensor(_MEAN).reshape(3, 1, 1)) / torch.tensor(_STD).reshape(3, 1, 1)
        return F.normalize(
            self.model.visual_projection(self.model.vision_model(pixel_values=pixels).pooler_output), dim=-1
        )

    def _said(self, prompt: str) -> Tensor:
        longest = self.model.config.text_config.max_position_embeddings
        read = self.words([prompt], return_tensors="pt", truncation=True, max_length=longest)
        pooled = self.model.text_model(input_ids=read["input_ids"], attention_mask=read["attention_mask"]).pooler_output
        return F.normalize(self.model.text_projection(pooled), dim=-1)[0]


class ArcFace:
    """Likeness of the face (arXiv 1801.07698): the product's box in the photo and in the last frame. It says something
    of films of faces alone; the box stands for the face, which is not aligned.
    """

    name = "ArcFace"

    def __init__(self, file: Path) -> None:
        self.model = load_arcface(file)

    @torch.no_grad()
    def figures(self, films: Judged) -> list[Figure]:
        faces = [(case, film) for case, film in films if case.world.scene.product.kind == PERSON]
        about = "Cosine of the face in the last frame to the face in the photo."
        if not faces:
            return [Figure("ArcFace", "cosine", "higher", "Not measured: no scene of this run shows a face.", {})]
        found = []
        for case, film in faces:
            rows, columns = np.nonzero(case.mask > 127)
            box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            pair = torch.cat([_square(frame[box][None], 112) for frame in (case.photo, film[-1])])
            one, other = F.normalize(self.model(pair / 127.5 - 1), dim=-1)
            found.append(float(one @ other))
        return [_mean_figure("ArcFace", about, found)]


class VBench:
    """The program's own figures of the films as MP4. ValueError where it cannot be run or gives no results."""

    name = "VBench"

    def __init__(self, command: str) -> None:
        program = shutil.which(command)
        if program is None:
            raise ValueError(f"There is no program {command!r}: name the vbench of its own environment.")
        self.program = program

    def figures(self, films: Judged) -> list[Figure]:
        with tempfile.TemporaryDirectory(prefix="vbench-") as name:
            videos, results = Path(name) / "videos", Path(name) / "results"
            videos.mkdir()
            for index, (_, film) in enumerate(films):
                height, width = film.shape[1:3]
                write_frames(film[:, : height // 2 * 2, : width // 2 * 2], videos / f"{index:03d}.mp4", 12)
            given = ["--videos_path", str(videos), "--output_path", str(results), "--mode", "custom_input"]
            command = [self.program, "evaluate", *given, "--dimension", *DIMENSIONS]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            found = sorted(results.glob("*_eval_results.json"))
            if ended.returncode or not found:
                last = (ended.stderr.strip().splitlines() or ["no results"])[-1]
                raise ValueError(f"vbench did not judge the films: {last}")
            scores: dict[str, Any] = json.loads(found[-1].read_text())
        about = "By VBench's own program."
        return [
            Figure(f"VBench {name}", "score", "higher", about, {OURS: float(scores[name][0])}, scenes=len(films))
            for name in DIMENSIONS
            if name in scores
        ]


def _mean_figure(name: str, about: str, values: list[float]) -> Figure:
    return Figure(name, "cosine", "higher", about, {OURS: float(np.mean(values))}, scenes=len(values))


def _square(frames: np.ndarray, side: int) -> Tensor:
    """uint8 [N, H, W, 3] -> float [N, 3, side, side], 0..255."""
    resized = [cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float()
