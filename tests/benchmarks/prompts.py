"""Whether a bundle does what a sentence says, with camera and subject left to it: `python tests/benchmarks/prompts.py`

Held-out scenes of all formats; sentences of the phrases that training uses, in combinations drawn anew and not among
100,000 of its captions. No pixel is moved: a case is obeyed where, of the exact fields of every move that could have
been asked, those of the asked one are nearest to what the bundle made. Beside it the sentences of another case
(chance), no sentence, prompts as people type them (`typed_prompts/`), and controls that say otherwise than the
sentence, which are to win.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # run as a script, from anywhere
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]  # `engine` is ours

from datapipe.worlds import captions  # noqa: E402
from datapipe.worlds.clip import ASPECTS, GRIDS, Fields, draw_picture, exact_fields, sample_controls  # noqa: E402
from datapipe.worlds.motion import CAMERA_MOVES, SUBJECT_MOTIONS, Motion, sample_motion  # noqa: E402
from datapipe.worlds.render import Layers  # noqa: E402
from datapipe.worlds.scene import Scene, sample_scene  # noqa: E402
from engine.bundles import SHIPPED, read_bundle  # noqa: E402
from engine.conditions import photo_tensor  # noqa: E402
from engine.denoise import Row  # noqa: E402
from engine.generate import Engine  # noqa: E402
from engine.models.motion_vae import FLOW_SCALE, LIGHT_SCALE  # noqa: E402

FIRST_SEED = 906_500_000  # training never draws scenes from 900,000,000 on
TRAINING_LIKE = 100_000  # captions drawn as training draws them, which a tried sentence is none of
USUAL = captions.USUAL
TYPED = Path(__file__).parent / "typed_prompts" / "unseen.jsonl"


@dataclass(frozen=True)
class Case:
    """A held-out scene and what its sentence asks. `photo`: uint8 [H, W, 4], rgb and mask."""

    format: str
    scene: Scene
    layers: Layers
    photo: np.ndarray
    asked: Motion
    prompt: str

    def exact(self, motion: Motion, keys: int) -> Fields:
        """At `keys` times, the first left out."""
        height, width = GRIDS[self.format]
        return exact_fields(self.scene, self.layers, motion, height // 2, width // 2, keys)


def make_cases(count: int) -> list[Case]:
    heard, cases, formats = _captions(), [], list(GRIDS)
    for index in range(count):
        rng, format = np.random.default_rng(FIRST_SEED + index), formats[index % len(formats)]
        scene = sample_scene(rng, ASPECTS[format])
        picture, layers = draw_picture(scene, *GRIDS[format])
        asked = Motion(CAMERA_MOVES[index % len(CAMERA_MOVES)], USUAL, SUBJECT_MOTIONS[index // 11 % 4], USUAL)
        prompt = _sentence(asked, scene.words, rng)
        while prompt in heard:
            prompt = _sentence(asked, scene.words, rng)
        photo = np.concatenate([picture.rgb, picture.mask[..., None]], -1)
        cases.append(Case(format, scene, layers, photo, asked, prompt))
    return cases


def typed_cases(cases: list[Case]) -> list[Case]:
    """The prompts as people type them that say which way the camera goes, each asked of one of these scenes; what
    they say nothing of stays still.
    """
    rows = [json.loads(line) for line in TYPED.read_text().splitlines()]
    told = [row for row in rows if row["camera"] in CAMERA_MOVES]
    return [
        replace(
            cases[index % len(cases)],
            prompt=row["prompt"],
            asked=Motion(row["camera"], USUAL, row["subject"].replace("auto", "still"), USUAL),
        )
        for index, row in enumerate(told)
    ]


def _captions() -> set[str]:
    rng = np.random.default_rng(1)
    words = [sample_scene(np.random.default_rng(seed), 1.0).words for seed in range(200)]
    return {sample_controls(sample_motion(rng), words[n % 200], rng).prompt for n in range(TRAINING_LIKE)}


def _sentence(asked: Motion, words: dict[str, str], rng: np.random.Generator) -> str:
    parts = [captions.camera_phrase(asked, rng), captions.subject_phrase(asked, words["product"], rng)]
    return captions.compose([*parts, captions.scene_phrase(words, rng)], rng)


@torch.inference_mode()
def generate(
    engine: Engine, cases: list[Case], prompts: list[str], controls: list[tuple[str, float, str, float]], steps: int
) -> list[np.ndarray]:
    """Of each case the fields [5, T, h, w] that its sentence and controls make."""
    made: dict[int, np.ndarray] = {}
    for format in GRIDS:
        chosen = [index for index, case in enumerate(cases) if case.format == format]
        photo = photo_tensor(np.stack([cases[index].photo for index in chosen]))
        reference = engine.vae.reference(photo)
        conditions = engine.condition(photo, reference)
        rows = [Row(prompts[i], controls[i], one, seed=i) for i, one in zip(chosen, conditions, strict=True)]
        *_, data = engine.denoiser.denoise(rows, steps)
        fields = engine.vae.decode(engine.vae.unscale_latents(data), reference).float().numpy()
        made |= dict(zip(chosen, fields, strict=True))
    return [made[index] for index in range(len(cases))]


def camera_of(case: Case, fields: np.ndarray) -> str:
    """The move whose exact scene flow at the end is nearest to the made one, of any strength."""
    made = np.moveaxis(fields[:2, -1], 0, -1)

    def off(camera: str) -> float:
        asked = replace(case.asked, camera=camera, subject="still")
        flows = [case.exact(replace(asked, camera_strength=size), 2).scene_flow[-1] for size in (0.3, 0.6, 0.9)]
        return min(float(np.square(made - flow).mean()) for flow in flows)

    return min(CAMERA_MOVES, key=off)


def subject_of(case: Case, fields: np.ndarray, camera: str) -> str:
    """The subject motion, performed in whichever way, whose exact fields on the product are nearest to the made."""

    keys = 9  # every second of the fields' times: fewer would miss the faster floats
    inside = case.exact(replace(case.asked, camera=camera, subject="still"), keys).product_alpha > 0.9

    def packed(product_flow: np.ndarray, light: np.ndarray) -> np.ndarray:
        flow = product_flow / FLOW_SCALE
        return np.concatenate([flow[inside].ravel(), light[inside] / LIGHT_SCALE])

    made = packed(np.moveaxis(fields[2:4, 1::2], 0, -1), fields[4, 1::2])
    ways = {
        "still": [{}],
        "float": [{"cycles": n, "sway": s} for n in (1.0, 1.5, 2.0) for s in (-0.7, 0.0, 0.7)],
        "turn": [{}],
        "light-sweep": [{"sweep_angle": angle, "sweep_width": 0.4} for angle in (0.2, 0.5, 0.8)],
    }

    def off(subject: str) -> float:
        tries = [
            replace(case.asked, camera=camera, subject=subject, subject_strength=size, **way)
            for way in ways[subject]
            for size in ((0.6,) if subject == "still" else (0.35, 0.7))
        ]
        exact = [case.exact(motion, keys) for motion in tries]
        return min(float(np.square(made - packed(one.product_flow, one.light)).mean()) for one in exact)

    return min(SUBJECT_MOTIONS, key=off)


def score(name: str, cases: list[Case], made: list[np.ndarray], asked: list[Motion], *, subjects: bool = True) -> None:
    cameras = [camera_of(case, fields) for case, fields in zip(cases, made, strict=True)]
    right = np.mean([found == wish.camera for found, wish in zip(cameras, asked, strict=True)])
    told = f"{name:44} camera {right:6.1%} (n {len(cases)}, chance {1 / len(CAMERA_MOVES):.0%})"
    if subjects:
        found = [subject_of(*one) for one in zip(cases, made, cameras, strict=True)]
        right = np.mean([one == wish.subject for one, wish in zip(found, asked, strict=True)])
        told += f"  subject {right:6.1%} (chance {1 / len(SUBJECT_MOTIONS):.0%})"
    print(told, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=SHIPPED)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--steps", type=int, default=12)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    engine, cases = Engine(read_bundle(options.bundle)), make_cases(options.cases)
    asked, prompts = [case.asked for case in cases], [case.prompt for case in cases]
    free = [("auto", 0.0, "auto", 0.0)] * len(cases)

    def try_out(
        name: str,
        prompts: list[str],
        controls: list[tuple[str, float, str, float]] = free,
        wishes: list[Motion] = asked,
        subjects: bool = True,
    ) -> None:
        score(name, cases, generate(engine, cases, prompts, controls, options.steps), wishes, subjects=subjects)

    try_out("unseen sentences of seen words", prompts)
    order = np.random.default_rng(2).permutation(len(cases))
    try_out("control: another case's sentence", [prompts[index] for index in order])
    try_out("control: no sentence", [""] * len(cases))
    typed = typed_cases(cases)
    said = [case.prompt for case in typed]
    made = generate(engine, typed, said, [("auto", 0.0, "auto", 0.0)] * len(typed), options.steps)
    score("prompts as people type them", typed, made, [case.asked for case in typed], subjects=False)
    others = [cases[index].asked for index in order]
    controls = [(one.camera, USUAL, one.subject, USUAL) for one in others]
    try_out("a control that says otherwise, followed", prompts, controls, others)


if __name__ == "__main__":
    main()
