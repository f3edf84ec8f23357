"""One evaluation: films of held-out scenes, their figures, the flow loss, the nearest training clips, the report."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import track

from engine.bundles import BundleError
from engine.media.video import write_frames
from trainer.evaluate.cases import EXACT, HOMOGRAPHY, OURS, SHUFFLED, STILL, Case, baseline_films, make_cases, shuffled
from trainer.evaluate.figures import CaseScores, Figure, film_figures, flow_figure, memory_figure, score_case
from trainer.evaluate.flow_loss import TIMES, flow_losses
from trainer.evaluate.makers import Maker, training_films
from trainer.evaluate.memory import Nearest, gist, nearest
from trainer.evaluate.options import Options
from trainer.evaluate.outside import Judge, outside_figures

FPS = 12
OF_A_REPORT = {"media", "evaluation.json", "index.html"}
SHOWN = (OURS, EXACT, HOMOGRAPHY, SHUFFLED)  # films that the report plays beside each other


@dataclass
class Evaluation:
    """What an evaluation found, and what its report shows."""

    bundle: dict[str, str]
    how: str
    options: Options
    figures: list[Figure]
    losses: dict[str, np.ndarray]
    examples: list[dict[str, object]] = field(default_factory=list)
    strengths: list[dict[str, object]] = field(default_factory=list)
    machine: str = ""


def evaluate(maker: Maker, out: Path, options: Options, judges: list[Judge]) -> Evaluation:
    """Measure a bundle and write films and pictures to `out`/media, figures to `out`/evaluation.json.

    ValueError where `out` holds something else, or where too few scenes are asked for.
    """
    if options.scenes < 3 or options.clips < 2 or options.seeds < 1 or options.training_scenes < 1:
        raise ValueError("An evaluation needs at least 3 scenes, 2 clips, 1 seed and 1 training scene.")
    if out.exists() and any(path.name not in OF_A_REPORT for path in out.iterdir()):
        raise ValueError(f"{out} holds something that is no evaluation: choose another folder.")
    (out / "media").mkdir(parents=True, exist_ok=True)
    cases = make_cases(options.scenes, maker.side, maker.formats)
    training, found_training = _training(maker, options.training_scenes)
    gists = None if training is None else np.stack([gist(film) for film in training])
    scores: list[CaseScores] = []
    near: dict[str, list[Nearest]] = {}
    examples: list[dict[str, object]] = []
    judged: list[tuple[Case, np.ndarray]] = []
    for case, films in track(_films(maker, cases), "films", total=len(cases)):
        scores.append(score_case(case, films))
        judged.append((case, films[OURS]))
        for kind, film in films.items() if gists is not None else ():
            assert gists is not None
            near.setdefault(kind, []).append(nearest(film, gists))
        if len(examples) < options.shown:
            closest = None if training is None else training[near[OURS][-1].index]
            examples.append(example_of(case, films, scores[-1], closest, out / "media", len(examples)))
    losses = flow_losses(maker.held_out(options.clips), options.seeds)
    figures = [*film_figures(scores), flow_figure(losses, options.clips), *maker.tasks(options.clips)]
    figures += [_memory(near, found_training, options), *outside_figures(judges, judged)]
    made = Evaluation(maker.bundle.identity, maker.how, options, figures, losses, examples, _strengths(scores), _here())
    _write(made, out)
    return made


def _films(maker: Maker, cases: list[Case]) -> Iterator[tuple[Case, dict[str, np.ndarray]]]:
    for case, other in zip(cases, shuffled(cases), strict=True):
        films = {OURS: maker.film(case, case), SHUFFLED: maker.film(case, other), **dict(baseline_films(cases, case))}
        yield case, films


def _training(maker: Maker, scenes: int) -> tuple[list[np.ndarray] | None, str | int]:
    """The training films and of how many scenes they are, or why there are none."""
    try:
        return training_films(maker, scenes)
    except BundleError as error:
        return None, str(error)


def _memory(near: dict[str, list[Nearest]], of: str | int, options: Options) -> Figure:
    if isinstance(of, str):
        return Figure("Distance to the nearest training clip", "x unseen clips'", "higher", f"Not measured: {of}", {})
    return memory_figure(near, min(options.training_scenes, of), of)


def example_of(
    case: Case, films: dict[str, np.ndarray], scores: CaseScores, closest: np.ndarray | None, media: Path, number: int
) -> dict[str, object]:
    """Write the films that the report plays, and what it says beside them."""
    played = {}
    for kind in SHOWN:
        name = f"{number:02d}-{kind.split()[0]}"
        write_frames(_even(films[kind]), media / f"{name}.mp4", FPS)
        _write_picture(films[kind][-1], media / f"{name}.jpg")
        played[kind] = name
    shown = [("nearest", closest[-1])] if closest is not None else []
    for name, picture in [("photo", case.photo), *shown]:
        _write_picture(picture, media / f"{number:02d}-{name}.jpg")
    travel = scores.motion.motion[OURS].travel
    clip = case.clip
    return {
        "number": number,
        "asked": f"{clip.camera} {clip.camera_strength:.2f}, product {clip.subject}",
        "prompt": case.prompt,
        "films": played,
        "has_nearest": closest is not None,
        "travel": travel,
        "fidelity": scores.quality[OURS].fidelity,
        "still": scores.quality[STILL].fidelity,
    }


def _strengths(scores: list[CaseScores]) -> list[dict[str, object]]:
    """Asked and measured strength of every moving film: the report's scatter."""
    return [
        {"camera": one.motion.clip.camera, "asked": one.motion.clip.camera_strength, "measured": made}
        for one in scores
        if (made := one.motion.motion[OURS].strength) is not None
    ]


def _write(made: Evaluation, out: Path) -> None:
    found = {
        "bundle": made.bundle,
        "how": made.how,
        "machine": made.machine,
        "options": asdict(made.options),
        "figures": [asdict(figure) for figure in made.figures],
        "flow_loss": {"times": list(TIMES), **{kind: values.tolist() for kind, values in made.losses.items()}},
    }
    temporary = out / ".evaluation.json.tmp"
    temporary.write_text(json.dumps(found, indent=1) + "\n")
    temporary.replace(out / "evaluation.json")


def _even(film: np.ndarray) -> np.ndarray:
    """A film as the encoder takes it: even sides, and small ones enlarged by whole pixels."""
    height, width = film.shape[1:3]
    times = max(1, 256 // min(height, width))
    grown = film.repeat(times, 1).repeat(times, 2)
    return grown[:, : grown.shape[1] // 2 * 2, : grown.shape[2] // 2 * 2]


def _write_picture(picture: np.ndarray, path: Path) -> None:
    grown = _even(picture[None])[0]
    cv2.imwrite(str(path), cv2.cvtColor(grown, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])


def _here() -> str:
    return f"{platform.machine()}, torch threads {torch.get_num_threads()}, torch {torch.__version__}"
