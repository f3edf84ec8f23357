"""Every figure of an evaluation moves the right way on a planted fault; the command writes a whole report."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from datapipe.worlds.clip import GRIDS, make_clips
from engine.bundles import read_bundle
from engine.media.video import probe_video
from tests.trainer.tiny_bundle import write_tiny_bundle
from trainer.__main__ import main
from trainer.data import scene_seed
from trainer.evaluate import memory, quality
from trainer.evaluate.cases import BASELINES, EXACT, MEAN, OURS, SHUFFLED, STILL, Case, baseline_films, make_cases
from trainer.evaluate.figures import CaseScores, Figure, film_figures, flow_figure, memory_figure
from trainer.evaluate.flow_loss import HeldOut, flow_losses, seed_interval
from trainer.evaluate.makers import MotionMaker, training_films
from trainer.evaluate.memory import Nearest, gist, nearest
from trainer.evaluate.motion import MotionScores
from trainer.evaluate.options import Options
from trainer.evaluate.outside import outside_figures
from trainer.evaluate.plan import plan_clips
from trainer.evaluate.plots import strip
from trainer.evaluate.quality import Quality
from trainer.evaluate.report import page_of, write_report
from trainer.evaluate.run import Evaluation, example_of
from trainer.evaluate.work import ClipScores


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Three scenes: a static camera and two pans."""
    return make_cases(3, 128, ("1:1",))


@pytest.fixture(scope="module")
def moving(cases) -> Case:
    """A pan over textured ground."""
    return cases[1]


def blurred(film: np.ndarray) -> np.ndarray:
    return np.stack([film[0], *(cv2.GaussianBlur(frame, (0, 0), 2) for frame in film[1:])])


def frozen(film: np.ndarray) -> np.ndarray:
    return np.repeat(film[:1], len(film), 0)


def in_disorder(film: np.ndarray) -> np.ndarray:
    return film[[0, *(np.random.default_rng(0).permutation(len(film) - 1) + 1)]]


def tinted(film: np.ndarray) -> np.ndarray:
    """Slowly redder."""
    shift = np.linspace(0, 45, len(film))[:, None, None, None] * np.array([1, -0.3, -0.6])
    return np.clip(film + shift, 0, 255).astype(np.uint8)


def test_blur_freeze_disorder_and_a_colour_shift_move_their_figures_the_right_way(moving):
    film, mask = moving.exact, moving.mask
    good, blur, freeze, disorder, tint = (
        quality.score_film(made, film, mask)
        for made in (film, blurred(film), frozen(film), in_disorder(film), tinted(film))
    )
    assert good.sharpness == pytest.approx(1) and blur.sharpness < 0.5
    assert good.fidelity == 99 and max(one.fidelity for one in (blur, freeze, disorder, tint)) < 35
    assert freeze.flicker == 0 < good.flicker < 0.5 * disorder.flicker
    assert good.warp_error < 0.75 * min(disorder.warp_error, tint.warp_error)
    assert good.colour_drift < 2 < 8 < tint.colour_drift


def test_alternating_brightness_is_flicker(moving):
    film = moving.exact.copy()
    film[1::2] = np.clip(film[1::2].astype(int) + 12, 0, 255)
    assert quality.flicker(film) > quality.flicker(moving.exact) + 5


def test_a_film_of_another_product_loses_its_identity_and_a_moved_one_keeps_it(cases):
    photos = [quality.product_features(case.photo, case.mask) for case in cases]
    own = [quality.product_features(case.exact[-1], quality.follow_mask(case.exact, case.mask)) for case in cases]
    assert min(quality.identity_margins(own, photos)) > 0.3
    assert max(quality.identity_margins(own[1:] + own[:1], photos)) < -0.3
    assert quality.identity_margins([None, *own[1:]], photos)[0] < 0, "a product that is gone is not its own"


def scores_of(index: int) -> CaseScores:
    """Of a perfect model, beside baselines that do not move, or are grey."""
    rng = np.random.default_rng(index)
    photo = rng.normal(size=8)
    clip = ClipScores(plan_clips(index + 1)[index])
    moves = dict.fromkeys(BASELINES, 0.0) | {OURS: 1.0, EXACT: 1.0}
    clip.motion = {kind: MotionScores(travel=travel, strength=travel) for kind, travel in moves.items()}
    clip.revealed = {kind: 30.0 if travel else 15.0 + index for kind, travel in moves.items()}
    still = Quality(0.0, 0.0, 0.0, 2.0, 20.0, photo)
    films = dict.fromkeys(BASELINES, still) | {MEAN: Quality(0.1, 0.1, 9.0, 0.1, 12.0, None)}
    return CaseScores(clip, films | {kind: Quality(1.0, 1.0, 0.5, 1.0, 40.0, photo) for kind in (OURS, EXACT)}, photo)


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    return {figure.name: figure for figure in film_figures([scores_of(index) for index in range(5)])}


def test_figures_stand_beside_every_baseline_with_their_interval(figures):
    camera, revealed = figures["Camera goes the asked way"], figures["Revealed region"]
    assert camera.ours == 100 and {camera.values[kind] for kind in BASELINES} == {0}
    assert (revealed.ours, revealed.low, revealed.high) == (30, 30, 30)
    assert revealed.best_baseline == (STILL, 17)
    assert set(revealed.values) == {*BASELINES, OURS, EXACT}
    assert figures["Identity of the product"].values[MEAN] == 0 < figures["Identity of the product"].ours == 100
    assert figures["Sharpness"].best_baseline == (STILL, 2.0) and figures["Sharpness"].rival == EXACT
    assert figures["End-point error"].ours is None, "no scene here has parallax: it is not measured"


@pytest.mark.parametrize(("better", "order"), [("higher", [MEAN, OURS, STILL]), ("lower", [STILL, OURS, MEAN])])
def test_on_a_figures_line_better_is_to_the_right(better, order):
    assert places(Figure("x", "", better, "", {OURS: 1.1, STILL: 3.0, MEAN: 0.2})) == order
    assert places(Figure("x", "", "near 1", "", {OURS: 1.1, STILL: 3.0, MEAN: 0.2})) == [MEAN, STILL, OURS]


def places(figure: Figure) -> list[str]:
    """The kinds on a figure's line, from left to right."""
    marks = re.findall(r"translate\(([\d.]+) .*?<title>(.*?)</title>", strip(figure))
    return [kind for _, kind in sorted((float(x), kind) for x, kind in marks)]


def held_out(error: float) -> HeldOut:
    """A transformer that is off by `error`, and hears its condition: of a shuffled one it predicts another clip."""
    data = torch.randn(6, 2, 3, 4, 4, generator=torch.Generator().manual_seed(4))

    def velocity(noisy, time_B, is_shuffled):
        guess = data.roll(1, 0) if is_shuffled else data
        return (noisy - guess) / time_B[:, None, None, None, None] + error

    return HeldOut(data, velocity, {STILL: torch.zeros_like(data)})


def test_the_flow_loss_tells_a_better_model_and_one_that_does_not_hear(cases):
    good, worse = (flow_losses(held_out(error), 3) for error in (0.1, 0.5))
    means = {kind: seed_interval(values)[0] for kind, values in good.items()}
    assert means[OURS] == pytest.approx(0.01, rel=1e-3)
    assert seed_interval(worse[OURS])[0] == pytest.approx(0.25, rel=1e-3)
    assert means[OURS] < means[MEAN] < means[SHUFFLED]
    assert good[STILL][0, 0] == pytest.approx(100 * held_out(0).data_BCThw.square().mean().item(), rel=1e-3)
    assert all(np.array_equal(good[kind], again) for kind, again in flow_losses(held_out(0.1), 3).items())
    mean, low, high = seed_interval(good[MEAN])
    assert low < mean < high


def test_training_scenes_of_a_bundle_that_moves_a_photo_are_those_of_its_bank():
    """As the bank draws them: every format has its own seeds, and scenes of its own form."""
    maker = object.__new__(MotionMaker)
    maker.bundle = SimpleNamespace(name="b", provenance={"config": {"bank": {"seed": 5, "scenes": 2}}})
    films, count = training_films(maker, 5)
    assert count == 8 and len(films) == 5
    for film, (format, scene) in zip(films, [*((format, 0) for format in GRIDS), ("9:16", 1)], strict=True):
        banked = make_clips(scene_seed(5, format, scene), format, 1)[0].rgb
        other = make_clips(5 + scene + 7, format, 1)[0].rgb  # the control
        drawn = cv2.resize(film[0], banked.shape[1::-1], interpolation=cv2.INTER_AREA).astype(int)
        assert np.abs(drawn - banked).mean() < 8 < np.abs(drawn - other).mean()


def test_a_film_copied_from_the_training_clips_is_found(cases):
    training = np.stack([gist(case.exact) for case in cases[1:]])
    copy, unseen = nearest(cases[2].exact, training), nearest(cases[0].exact, training)
    brighter = nearest(np.clip(cases[2].exact * 0.8 + 20, 0, 255).astype(np.uint8), training)
    assert (copy.index, brighter.index) == (1, 1)
    assert copy.distance < 1e-5 and brighter.distance < 0.01 < unseen.distance
    found = {OURS: [copy, copy], EXACT: [unseen, unseen]}
    assert memory_figure(found, 4, 9).ours == pytest.approx(0, abs=1e-3)
    assert memory.memorised([Nearest(0, 0.3)], [Nearest(0, 0.3)]) == 1


class Page(HTMLParser):
    """What a page shows and plays."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.files, self.words = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.files += [found[key] for key in ("src", "poster") if key in found]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_a_page_shows_every_figure_says_what_wins_and_needs_nothing_else(figures, cases, tmp_path):
    films = {OURS: cases[1].exact, **dict(baseline_films(cases, cases[1])), SHUFFLED: frozen(cases[1].exact)}
    (tmp_path / "media").mkdir()
    example = example_of(cases[1], films, scores_of(1), cases[2].exact, tmp_path / "media", 0)
    losses = flow_losses(held_out(0.1), 2)
    every = [*figures.values(), flow_figure(losses, 6), *outside_figures([], [])]
    bundle = {"name": "a <model>", "version": "1", "digest": "sha256:" + "0" * 64}
    strengths = [{"camera": "pan-left", "asked": 0.5, "measured": -0.1}]
    made = Evaluation(bundle, "asked in words", Options(), every, losses, [example], strengths, "here")
    page = Page(write_report(made, tmp_path).read_text())
    assert page.open == []
    assert all((tmp_path / name).exists() for name in page.files) and len(page.files) == 2 * 4 + 2
    assert probe_video(tmp_path / "media" / "00-ours.mp4").frames == 17
    for words in ("a <model> 1", "Camera goes the asked way", "beats every baseline", "exact film 1.00"):
        assert words in page.words
    for name in ("CLIP", "ArcFace", "VBench", "End-point error"):
        assert f"{name} " in page.words[page.words.index("Not measured") :]
    worse = replace(made, figures=[replace(figures["Revealed region"], values={OURS: 1.0, STILL: 2.0})])
    assert "still frame does better: 2.00" in page_of(worse) and "on 0 of 1 figures" in page_of(worse)


@pytest.mark.full
def test_the_command_writes_a_whole_report(tmp_path, capsys):
    bundle, out = write_tiny_bundle(tmp_path / "tiny").path, tmp_path / "report"
    sizes = ["--scenes", "3", "--clips", "2", "--seeds", "2", "--training-scenes", "2"]
    card = tmp_path / "with-figures"
    assert main(["evaluate", str(bundle), "--out", str(out), *sizes, "--into-card", str(card)]) == 0
    figures = json.loads((out / "evaluation.json").read_text())["figures"]
    assert read_bundle(card).provenance["evaluation"]["figures"] == figures
    page = Page((out / "index.html").read_text())
    assert all((out / name).exists() for name in page.files) and len(page.files) == 3 * (2 * 4 + 2)
    found = {row["name"]: row for row in json.loads((out / "evaluation.json").read_text())["figures"]}
    assert found["Held-out flow loss"]["low"] < found["Held-out flow loss"]["values"][OURS]
    assert "2 of 3 training scenes" in found["Distance to the nearest training clip"]["about"]
    assert found["Nearness to the exact film"]["values"][OURS] < found["Nearness to the exact film"]["values"][STILL]
    assert "not measured" in capsys.readouterr().out


def test_what_cannot_be_evaluated_is_refused(tmp_path, capsys):
    bundle = write_tiny_bundle(tmp_path / "tiny").path
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    for more, says in (
        (["--out", str(tmp_path / "full")], "holds something that is no evaluation"),
        (["--out", str(tmp_path / "new"), "--scenes", "1"], "at least 3 scenes"),
        (["--out", str(tmp_path / "new"), "--clip", str(tmp_path / "none")], "There are no weights at"),
        (["--out", str(tmp_path / "new"), "--vbench", "no-such-program"], "There is no program"),
    ):
        assert main(["evaluate", str(bundle), *more]) == 2
        assert says in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
