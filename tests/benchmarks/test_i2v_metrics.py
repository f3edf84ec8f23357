"""Every figure of the i2v benchmark on films with planted faults: it has to move the right way. No model is used."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from datapipe.worlds.clip import exact_fields
from engine.media.video import VideoWriter
from tests.benchmarks.i2v_parts import as_users, browser, masks
from tests.benchmarks.i2v_parts.as_users import UserScores
from trainer.evaluate import flow, pictures, prompts, rows
from trainer.evaluate.films import MOMENTS, watch
from trainer.evaluate.motion import Answers, MotionScores, score_motion
from trainer.evaluate.plan import FORMATS, Clip, plan_clips
from trainer.evaluate.scenes import (
    View,
    World,
    asked_motion,
    exact_clip,
    exact_frame,
    make_world,
    moved_layers,
)
from trainer.evaluate.work import EXACT, HOMOGRAPHY, OURS, RANDOM, STILL, ClipScores

SIDE = flow.SIDE


@pytest.fixture(scope="module")
def world() -> World:
    """A bottle in a street: texture on the product and behind it."""
    return make_world(5, "1:1", SIDE)


def filmed(
    world: World, camera: str, strength: float = 0.6, subject: str = "still", steps: int = 2
) -> list[np.ndarray]:
    """The exact film of a motion, at u = 0 .. 1."""
    motion = asked_motion(camera, strength, subject, 0.8)
    frames = [exact_frame(world, motion, k / steps) for k in range(1, steps + 1)]
    return [world.photo[world.window], *(np.clip(np.rint(frame), 0, 255).astype(np.uint8) for frame in frames)]


def scored(
    world: World, frames: list[np.ndarray], camera: str, strength: float = 0.6, subject: str = "still"
) -> MotionScores:
    return score_motion(Answers(world, asked_motion(camera, strength, subject, 0.8)), frames)


OPPOSITE = {
    "pan-left": "pan-right",
    "tilt-up": "tilt-down",
    "dolly-in": "dolly-out",
    "roll-left": "roll-right",
    "orbit-left": "orbit-right",
}


@pytest.mark.parametrize("asked", OPPOSITE)
def test_a_move_the_wrong_way_is_told_from_the_right_one(world: World, asked: str) -> None:
    right = scored(world, filmed(world, asked), asked)
    wrong = scored(world, filmed(world, OPPOSITE[asked]), asked)
    assert right.travel == pytest.approx(1, abs=0.3)
    assert wrong.travel is not None and wrong.travel < -0.3


def test_a_frozen_film_goes_no_way_and_is_far_from_the_exact_flow(world: World) -> None:
    exact = scored(world, filmed(world, "orbit-left", 1.0), "orbit-left", 1.0)
    frozen = scored(world, [world.photo[world.window]] * 3, "orbit-left", 1.0)
    assert frozen.travel == pytest.approx(0, abs=0.02)
    assert frozen.endpoint_error is not None and exact.endpoint_error is not None
    assert frozen.endpoint_error > 4 * exact.endpoint_error
    assert frozen.moved < 1e-3 < exact.moved


def test_measured_strength_grows_with_the_strength_of_the_film(world: World) -> None:
    made = [
        scored(world, filmed(world, "pan-left", strength), "pan-left", strength).strength
        for strength in (0.2, 0.5, 0.9)
    ]
    assert made == pytest.approx([0.2, 0.5, 0.9], abs=0.1)


def test_a_film_by_the_best_homography_has_no_parallax(world: World) -> None:
    answers = Answers(world, asked_motion("orbit-left", 1.0, "still", 0.8))
    moved = flow.homography_flow(answers.homography, answers.shape)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    flat = cv2.remap(
        world.photo[world.window],
        x + moved[..., 0],
        y + moved[..., 1],
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    photo = world.photo[world.window]
    by_homography = score_motion(answers, [photo, flat, flat])
    exact = score_motion(answers, filmed(world, "orbit-left", 1.0))
    assert exact.travel is not None and by_homography.travel is not None
    assert by_homography.travel < 0.4 < exact.travel
    assert exact.endpoint_error is not None and by_homography.endpoint_error is not None
    assert exact.endpoint_error < 0.6 * by_homography.endpoint_error


def test_a_bend_inside_the_mask_is_told_from_a_rigid_move(world: World) -> None:
    rigid = filmed(world, "roll-left")
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    wave = (5 * np.sin(y / 14)).astype(np.float32)
    bent = [
        rigid[0],
        *(cv2.remap(frame, x + wave, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE) for frame in rigid[1:]),
    ]
    straight, crooked = (np.median(scored(world, frames, "roll-left").bend) for frames in (rigid, bent))
    assert straight < 0.003
    assert crooked > 0.005


def test_a_turn_that_does_not_happen_is_an_error_inside_the_mask(world: World) -> None:
    turned = scored(world, filmed(world, "static", subject="turn"), "static", subject="turn")
    frozen = scored(world, [world.photo[world.window]] * 3, "static", subject="turn")
    assert np.median(turned.inside_error) < 0.01
    assert np.median(frozen.inside_error) > 3 * np.median(turned.inside_error)


def test_a_light_that_sweeps_is_told_from_one_that_does_not(world: World) -> None:
    motion = asked_motion("static", 0.6, "light-sweep", 0.8)
    answers, photo = Answers(world, motion), world.photo[world.window]
    grid = (SIDE // 4, SIDE // 4)
    exact = exact_fields(world.scene, world.layers, motion, *grid, keys=9).light
    wild = np.random.default_rng(1).normal(0, 0.4, (8, 6, 6)).astype(np.float32)

    def found(lights: np.ndarray) -> float | None:
        on = (world.mask[world.window] > 127)[..., None]
        films = [photo + on * 255 * cv2.resize(light, (SIDE, SIDE))[..., None] for light in lights]
        return score_motion(answers, [photo, *(np.clip(film, 0, 255).astype(np.uint8) for film in films)]).light

    swept, faint, back, other = found(exact), found(0.4 * exact), found(exact[::-1]), found(wild)
    assert swept is not None and swept > 0.5
    assert faint is not None and 0.25 < faint < 0.5
    assert back is not None and back < 0.25
    assert other is not None and abs(other) < 0.2
    assert found(0 * exact) == pytest.approx(0, abs=0.02)


def test_revealed_pixels_are_nearer_to_the_exact_rendering_than_the_still_photo(world: World) -> None:
    answers = Answers(world, asked_motion("orbit-left", 1.0, "still", 0.8))
    found = pictures.revealed_pixels(world, answers)
    assert found is not None
    revealed, exact = found
    assert pictures.psnr(filmed(world, "orbit-left", 1.0)[-1], exact, revealed) > 45
    assert pictures.psnr(world.photo[world.window], exact, revealed) < 30


def test_blur_and_oversharpening_leave_the_range_of_sharpness(world: World) -> None:
    photo = world.photo[world.window]
    soft = cv2.GaussianBlur(photo, (0, 0), 1.5)
    hard = cv2.addWeighted(photo, 1.8, soft, -0.8, 0)
    plain, blurred, oversharpened = (pictures.sharpness(world, [photo, frame]) for frame in (photo, soft, hard))
    assert plain == pytest.approx(1, abs=0.02)
    assert blurred is not None and blurred < 0.85
    assert oversharpened is not None and oversharpened > 1.15


@pytest.mark.parametrize(("planted", "outwards"), [(0, True), (3, True), (9, True), (7, False)])
def test_a_planted_halo_has_its_width(planted: int, outwards: bool) -> None:
    y, x = np.mgrid[0:300, 0:300]
    radius = np.hypot(x - 150, y - 150)
    alpha = np.clip(80.5 - radius, 0, 1).astype(np.float32)
    stained = np.clip(80.5 + (planted if outwards else -planted) - radius, 0, 1).astype(np.float32)
    inner, outer = np.array([200.0, 60, 40]), np.array([40.0, 90, 160])
    picture, reference = (outer + (inner - outer) * a[..., None] for a in (stained, alpha))
    width = pictures.halo_width(picture.astype(np.float32), reference.astype(np.float32), alpha)
    assert width == pytest.approx(planted, abs=1.5)


def test_one_bad_halo_among_many_misses_the_high_percentile() -> None:
    usual, worst = rows.halo_rows("halo", [2.0] * 8 + [12.0] * 2)
    assert usual.met and not worst.met
    assert [row.met for row in rows.halo_rows("halo", [2.0] * 10)] == [True, True]


def test_a_view_at_half_the_size_shows_what_the_frame_shows(world: World) -> None:
    still = exact_clip(world, asked_motion("static", 0.6, "still", 0.6), (32, 32))
    picture, alpha = moved_layers(world, still)
    small, small_alpha = moved_layers(world, still, View(world.view.window, (SIDE // 2, SIDE // 2)))
    assert np.abs(cv2.resize(picture, small.shape[1::-1], interpolation=cv2.INTER_AREA) - small).mean() < 3
    assert np.abs(cv2.resize(alpha, small.shape[1::-1], interpolation=cv2.INTER_AREA) - small_alpha).mean() < 0.01
    assert np.array_equal(world.view.of(world.mask), world.mask[world.window])


@pytest.mark.parametrize("asked", OPPOSITE)
def test_as_users_get_it_a_move_the_wrong_way_is_told_from_the_right_one(world: World, asked: str) -> None:
    mask = world.mask[world.window]
    assert as_users.goes_the_asked_way(filmed(world, asked), mask, asked, 0.6) is True
    assert as_users.goes_the_asked_way(filmed(world, OPPOSITE[asked]), mask, asked, 0.6) is False
    assert as_users.goes_the_asked_way([world.photo[world.window]] * 3, mask, asked, 0.6) is False


def test_users_ask_for_every_move_and_every_pair_of_formats() -> None:
    requests = [as_users.request_of(index) for index in range(24)]
    assert {request.camera.move for request in requests} == set(as_users.MOVES)
    pairs = {(FORMATS[index % 4], request.format) for index, request in enumerate(requests)}
    assert len(pairs) == 12 and all(photo != video for photo, video in pairs)


def test_what_is_left_of_the_strength_is_judged_by_the_usual_and_the_least() -> None:
    scores = [UserScores(index, applied, True, 1.0) for index, applied in enumerate([1.0, 1.0, 0.95, 0.3])]
    met = {row.what.split(", ")[-1]: row.met for row in as_users.user_rows(scores) if "applied" in row.what}
    assert met == {"median": True, "least": False}


def test_an_event_that_is_never_shown_is_late_and_not_dropped() -> None:
    shown = [(0, 1_000.0), (2, 1_300.0), (5, 9_000.0)]
    assert browser.event_seconds({0: 950.0}, shown, 20_000) == [0.05]
    assert browser.event_seconds({1: 1_250.0, 2: 1_280.0}, shown, 20_000) == pytest.approx([0.05, 0.02])
    assert browser.event_seconds({3: 2_000.0}, shown, 20_000) == [7.0]
    assert browser.event_seconds({9: 10_000.0}, shown, 20_000) == [10.0]


def test_flicker_is_measured_on_the_decoded_video(tmp_path: Path) -> None:
    def change(step: int) -> float:
        with VideoWriter(tmp_path / "clip.mp4", 64, 64, 24) as writer:
            for index in range(MOMENTS * 2 + 1):
                writer.write(np.full((96, 64), 120 + step * (index % 2), np.uint8))
        return float(watch(tmp_path / "clip.mp4", MOMENTS * 2 + 1).changes.mean())

    assert change(0) < 0.1
    assert change(6) > 3


@pytest.mark.parametrize("camera", ["static", "pan-right", "tilt-up", "dolly-in", "roll-left", "orbit-right"])
def test_the_camera_move_of_a_film_is_recognised(world: World, camera: str) -> None:
    seen = prompts.look(filmed(world, camera, 0.8), world.mask[world.window])
    assert seen is not None and seen.camera == camera


@pytest.mark.parametrize("subject", ["still", "float", "turn"])
def test_the_subjects_motion_of_a_film_is_recognised(world: World, subject: str) -> None:
    seen = prompts.look(filmed(world, "static", subject=subject, steps=4), world.mask[world.window])
    assert seen is not None and seen.subject == subject


def test_a_light_sweep_is_recognised(world: World) -> None:
    photo = world.photo[world.window]
    lit = np.clip(photo + np.where(world.mask[world.window] > 127, 40, 0)[..., None], 0, 255).astype(np.uint8)
    seen = prompts.look([photo, lit, photo], world.mask[world.window])
    assert seen is not None and seen.subject == "light-sweep"


def test_a_plan_covers_every_move_motion_and_format_evenly() -> None:
    clips = plan_clips(176)
    for name, kinds in (("camera", 11), ("subject", 4), ("format", 4)):
        counts = np.unique([getattr(clip, name) for clip in clips], return_counts=True)[1]
        assert len(counts) == kinds
        assert np.ptp(counts) == 0
    assert len({(clip.camera, clip.format) for clip in clips}) == 44
    assert plan_clips(20) == clips[:20]


def clip_scores(index: int, **figures: float) -> ClipScores:
    clip = plan_clips(index + 1)[index]
    return ClipScores(clip, motion={OURS: MotionScores(**figures)})  # type: ignore[arg-type]


def test_rows_count_films_and_rank_strengths() -> None:
    clips = [
        clip_scores(index, travel=1.0 if index else -1.0, strength=plan_clips(9)[index].camera_strength)
        for index in range(9)
    ]
    assert rows.sign_share(clips, OURS) == pytest.approx(100 * 8 / 9)
    assert rows.strength_rank(clips, OURS) == pytest.approx(1)
    assert rows.sign_share(clips, RANDOM) is None
    upside_down = [
        replace(one, motion={OURS: replace(one.motion[OURS], strength=-(one.motion[OURS].strength or 0))})
        for one in clips
    ]
    assert rows.strength_rank(upside_down, OURS) == pytest.approx(-1)


def test_the_error_is_a_ratio_to_the_homographys() -> None:
    clip: Clip = plan_clips(1)[0]
    score = ClipScores(
        clip, motion={OURS: MotionScores(endpoint_error=0.01), HOMOGRAPHY: MotionScores(endpoint_error=0.04)}
    )
    assert rows.error_to_homography([score], OURS) == pytest.approx(0.25)
    assert rows.error_to_homography([score], HOMOGRAPHY) == pytest.approx(1)


def test_a_row_meets_its_goal_or_not_and_nothing_measured_never_does() -> None:
    goal = rows.Goal(0.85, 1.15)
    assert [goal.met(value) for value in (1.0, 0.8, 1.2, None, float("nan"))] == [True, False, False, False, False]
    revealed = {OURS: 20.0, STILL: 14.0, HOMOGRAPHY: 16.0, RANDOM: 15.0, EXACT: 30.0}
    table = rows.motion_rows([ClipScores(plan_clips(1)[0], motion={OURS: MotionScores()}, revealed=revealed)])
    row = next(row for row in table if "revealed" in row.what)
    assert (row.peer_name, row.peer, row.met) == (HOMOGRAPHY, 16.0, True)
    assert not row.goal.met(row.baselines[RANDOM])


def test_the_ten_hand_drawn_masks_lie_on_their_photographs() -> None:
    paths = sorted(masks.DRAWN.glob("*.json"))
    assert len(paths) == 10
    for path in paths:
        photo, mask = masks.load_drawn(path)
        assert photo.shape == (*mask.shape, 3)
        assert 0.05 < mask.mean() < 0.8


def test_overlap_of_masks_is_exact() -> None:
    square = masks.rasterise([[[2, 2], [6, 2], [6, 6], [2, 6]]], (10, 10))
    assert square.sum() == 16
    assert masks.iou(square, square) == 1
    assert masks.iou(square, np.roll(square, 2, 1)) == pytest.approx(1 / 3)
    assert masks.iou(square, np.zeros_like(square)) == 0


def test_grabcut_finds_a_disc_on_a_plain_ground() -> None:
    photo = np.full((120, 120, 3), 200, np.uint8)
    cv2.circle(photo, (60, 60), 30, (40, 90, 160), -1)
    disc = (photo != 200).any(-1)
    assert masks.iou(masks.grabcut(photo, (20, 20, 80, 80)), disc) > 0.95
