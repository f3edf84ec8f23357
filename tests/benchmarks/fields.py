"""How near a bundle's motion fields are to the exact ones, before any pixel is moved: half a minute, for choosing how a
bundle is sampled. `python tests/benchmarks/fields.py --bundle BUNDLE --guidance 1 1.25 --temperature 0.4 1`

Held-out scenes of all formats, each with an explicit camera move and a still product (`--subjects` for others).
Printed, as decoded and as users get it (`engine.media.asked_camera`): the end-point error at the last key over that of
the best homography, on scenes with parallax, and the product's part of it; the rank correlation of asked and made
strength; and of each move how large it is beside the asked one (an orbit by its parallax), mean and deviation over
scenes. And how far off the relief is that the bundle sees, beside each scene's own mean and the mean roundness.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.stats import spearmanr

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # run as a script, from anywhere
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]  # `engine` is ours

from datapipe.worlds.clip import ASPECTS, GRIDS, Fields, draw_picture, exact_fields  # noqa: E402
from datapipe.worlds.motion import CAMERA_MOVES, SUBJECT_MOTIONS, Motion  # noqa: E402
from datapipe.worlds.render import render_layers  # noqa: E402
from datapipe.worlds.scene import sample_scene  # noqa: E402
from engine.bundles import SHIPPED, read_bundle  # noqa: E402
from engine.conditions import dense_condition, photo_tensor  # noqa: E402
from engine.denoise import Row  # noqa: E402
from engine.generate import Engine  # noqa: E402
from engine.media.asked_camera import Asked, Depths, as_asked  # noqa: E402
from engine.media.closeup import closeup  # noqa: E402
from engine.media.fields import MotionFields  # noqa: E402
from engine.media.steady import in_one_piece, moves_flat  # noqa: E402
from engine.seen import motion_fields  # noqa: E402
from trainer.closeups import FINER  # noqa: E402
from trainer.evaluate import flow  # noqa: E402
from trainer.evaluate.films import random_weights  # noqa: E402
from trainer.evaluate.motion import PARALLAX  # noqa: E402

FIRST_SEED = 905_500_000  # training never draws scenes from 900,000,000 on
STRENGTHS = (0.35, 0.6, 0.85, 1.0)


@dataclass(frozen=True)
class Case:
    """A held-out scene, an asked move, and its exact fields. `photo`: uint8 [H, W, 4], rgb and mask."""

    format: str
    photo: np.ndarray
    motion: Motion
    exact: Fields
    disparity: np.ndarray
    closeup: np.ndarray
    roundness: float

    @property
    def cells(self) -> np.ndarray:
        """Width and height of the fields' grid."""
        height, width = GRIDS[self.format]
        return np.array([width // 2, height // 2])

    def shown(self, scene: np.ndarray, product: np.ndarray) -> np.ndarray:
        """What each cell does, whichever layer it shows [h, w, 2], in cells."""
        return np.where(self.exact.product_alpha[-1][..., None] > 0.5, product, scene) * self.cells


def make_cases(count: int, subjects: list[str]) -> list[Case]:
    moves = [move for move in CAMERA_MOVES if move != "static"]
    rng, formats, cases = np.random.default_rng(7), list(GRIDS), []
    for index in range(count):
        format = formats[index % len(formats)]
        height, width = GRIDS[format]
        scene = sample_scene(np.random.default_rng(FIRST_SEED + index), ASPECTS[format])
        picture, layers = draw_picture(scene, height, width)
        motion = Motion(
            moves[index % len(moves)],
            STRENGTHS[rng.integers(len(STRENGTHS))],
            subjects[index // len(moves) % len(subjects)],
            0.6,
        )
        photo = np.concatenate([picture.rgb, picture.mask[..., None]], -1)
        exact = exact_fields(scene, layers, motion, height // 2, width // 2)
        drawn = render_layers(scene, FINER * height, FINER * width)
        close = closeup(drawn.composite, drawn.product_alpha)
        cases.append(Case(format, photo, motion, exact, picture.disparity, close, scene.product.bulge))
    return cases


@dataclass(frozen=True)
class Made:
    """What the bundle makes of a case."""

    decoded: MotionFields
    asked: MotionFields  # as users get it
    is_asked: bool  # and not left alone, as no such camera's motion
    depths: Depths


@torch.inference_mode()
def generate(engine: Engine, cases: list[Case], steps: int) -> list[Made]:
    made: dict[int, Made] = {}
    for format in GRIDS:
        chosen = [index for index, case in enumerate(cases) if case.format == format]
        photo = photo_tensor(np.stack([cases[index].photo for index in chosen]))
        reference = engine.vae.reference(photo)
        disparity = engine.relief(photo)
        roundness = engine.roundness(photo_tensor(np.stack([cases[index].closeup for index in chosen])))
        conditions = dense_condition(photo, reference, disparity)
        motions = [cases[index].motion for index in chosen]
        controls = [(m.camera, m.camera_strength, m.subject, m.subject_strength) for m in motions]
        rows = [
            Row("", asked, condition, seed) for seed, asked, condition in zip(chosen, controls, conditions, strict=True)
        ]
        *_, data = engine.denoiser.denoise(rows, steps)
        fields = engine.vae.decode(engine.vae.unscale_latents(data), reference).float().numpy()
        for at, index in enumerate(chosen):
            decoded, mask, control = motion_fields(fields[at], np.zeros((1, 1, 3))), photo[at, 3].numpy(), controls[at]
            depths = Depths(disparity[at, 0].numpy(), float(roundness[at]))
            steady = in_one_piece(decoded, mask, flat=moves_flat(control[0], control[2]))
            asked = as_asked(steady, mask, depths, Asked(*control), ASPECTS[format])
            made[index] = Made(decoded, asked, asked is not steady, depths)
    return [made[index] for index in range(len(cases))]


def score(cases: list[Case], made: list[MotionFields]) -> str:
    errors, products, peers, sizes = [], [], [], defaultdict(list)
    asked, measured = [], []
    for case, fields in zip(cases, made, strict=True):
        scene, product = fields.scene_flow[-1], fields.product_flow[-1]
        exact = case.shown(case.exact.scene_flow[-1], case.exact.product_flow[-1])
        matrix = flow.plain_homography(exact.astype(np.float32), np.ones(exact.shape[:2], bool))
        flat = flow.homography_flow(matrix, exact.shape[:2])
        off, peer = (
            np.linalg.norm(guess - exact, axis=-1) / case.cells[0] for guess in (case.shown(scene, product), flat)
        )
        if peer.mean() > PARALLAX:
            errors.append(off.mean())
            products.append((off * (case.exact.product_alpha[-1] > 0.5)).mean())
            peers.append(peer.mean())
        sizes[case.motion.camera].append(size := size_of(case, scene, product))
        asked.append(case.motion.camera_strength)
        measured.append(size * case.motion.camera_strength)
    moves = "  ".join(f"{move} {np.mean(some):.2f} ± {np.std(some):.2f}" for move, some in sorted(sizes.items()))
    ratio, inside = (np.sum(some) / np.sum(peers) for some in (errors, products))
    rank = spearmanr(asked, measured).statistic
    told = f"end-point error {ratio:.3f} x, of it the product {inside:.3f} (n {len(errors)})"
    return f"{told}  Spearman {rank:.3f} (n {len(asked)})\n    {moves}"


def relief(cases: list[Case], made: list[Made]) -> str:
    pairs = list(zip(cases, made, strict=True))
    far = np.mean([np.abs(one.depths.nearness - case.disparity).mean() for case, one in pairs])
    own = np.mean([np.abs(case.disparity - case.disparity.mean()).mean() for case in cases])
    exact = np.array([case.roundness for case in cases])
    rounded = np.abs(exact - [one.depths.roundness for one in made]).mean()
    mean = np.abs(exact - exact.mean()).mean()
    return f"relief: disparity off by {far:.3f} (own mean {own:.3f}), roundness by {rounded:.3f} (mean {mean:.3f})"


def size_of(case: Case, scene: np.ndarray, product: np.ndarray) -> float:
    """How large a move is, as a share of the exact one: of an orbit the product's travel beside the scene's."""
    exact = case.exact
    if case.motion.camera.startswith("orbit"):
        inside = exact.product_alpha[-1] > 0.9
        apart = [
            near[..., 0][inside].mean() - np.median(far[..., 0])
            for near, far in ((product, scene), (exact.product_flow[-1], exact.scene_flow[-1]))
        ]
        return float(apart[0] / apart[1])
    true, found = exact.scene_flow[-1] * case.cells, scene * case.cells
    return float((found * true).sum() / (true * true).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=SHIPPED)
    parser.add_argument("--scenes", type=int, default=80)
    parser.add_argument("--steps", type=int, nargs="+", default=[12])
    parser.add_argument("--random", action="store_true", help="the control: random weights of the transformer")
    parser.add_argument("--subjects", nargs="+", default=["still"], choices=SUBJECT_MOTIONS, help="one after the other")
    for name in ("shift", "guidance", "temperature"):
        parser.add_argument(f"--{name}", type=float, nargs="+", help="instead of the bundle's own")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    bundle = read_bundle(options.bundle)
    engine = Engine(bundle)
    if options.random:
        random_weights(engine)
    cases = make_cases(options.scenes, options.subjects)
    names = ("shift", "guidance", "temperature")
    own = engine.local.sampling
    choices = itertools.product(*(getattr(options, name) or [own[name]] for name in names), options.steps)
    for *sampling, steps in choices:
        engine.local.sampling = own | dict(zip(names, sampling, strict=True))
        told = ", ".join(f"{name} {value:g}" for name, value in zip(names, sampling, strict=True))
        made = generate(engine, cases, steps)
        print(f"{steps} steps, {told}; {relief(cases, made)}")
        for name in ("decoded", "asked"):
            print(f"  {name}: {score(cases, [getattr(one, name) for one in made])}", flush=True)
        print(f"  taken for the asked camera's: {sum(one.is_asked for one in made)} of {len(made)}", flush=True)


if __name__ == "__main__":
    main()
