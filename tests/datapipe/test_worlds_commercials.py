"""Commercials: every truth is checked against the pixels, and each check has a control that must fail."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from datapipe.worlds.captions import CAMERA_PHRASES, SUBJECT_PHRASES
from datapipe.worlds.commercial import Commercial, Plan, film_commercial, make_commercial, plan_commercial
from datapipe.worlds.identities import sample_identity
from datapipe.worlds.motion import FOCAL
from datapipe.worlds.sheet import GAP, draw_sheet
from datapipe.worlds.staging import FRAMINGS
from datapipe.worlds.voices import RATE, envelope, sound

ROOT = Path(__file__).parents[2]
SIDE = 64
DIGEST = """
import hashlib, sys
from datapipe.worlds.commercial import make_commercial
made = [make_commercial(int(seed), 48, 64) for seed in sys.argv[1:]]
parts = [a.tobytes() for f in made for a in (f.frames, f.flow, f.mask, f.layer, f.boxes, f.camera, f.face, f.label)]
print(hashlib.sha256(b"".join(parts) + repr([f.plan.caption for f in made]).encode()).hexdigest())
"""


@lru_cache(maxsize=128)
def film(seed: int, frames: int = 17, overlays: bool = True) -> Commercial:
    return film_commercial(plan_commercial(seed, 1.0), SIDE, SIDE, frames, overlays)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(max(np.mean((one.astype(float) - other) ** 2), 1e-9) / 255**2))


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1])


# --- determinism ---


def test_same_seed_same_bytes_in_two_processes_and_another_seed_others() -> None:
    def digest(*seeds: str) -> str:
        done = subprocess.run([sys.executable, "-c", DIGEST, *seeds], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert digest("3", "14") == digest("3", "14") != digest("3", "15")


def test_a_plan_shows_the_same_at_any_size_and_frame_count() -> None:
    likeness, other = [], []
    for seed in range(5):
        plan = plan_commercial(seed, 1.0)
        small, large = film_commercial(plan, 64, 64), film_commercial(plan, 192, 192)
        reduced = np.stack([cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA) for frame in large.frames])
        likeness.append(np.abs(reduced.astype(int) - small.frames).mean())
        other.append(np.abs(reduced.astype(int) - film(seed + 1).frames).mean())
        assert [cut.frame for cut in small.cuts] == [cut.frame for cut in large.cuts]
        longer = film_commercial(plan, 32, 32, frames=51)
        assert [round(cut.frame / 3) for cut in longer.cuts] == pytest.approx([c.frame for c in small.cuts], abs=1.5)
    assert max(likeness) < 8 < 30 < min(other)


# --- flow, layers, camera ---


def warped(made: Commercial, t: int, flow_HW2: np.ndarray) -> np.ndarray:
    """The shot's first frame, moved by a flow to time t, with the light of that time."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    first = made.frames[made.first[t]]
    moved = cv2.remap(first, x + flow_HW2[..., 0] * SIDE, y + flow_HW2[..., 1] * SIDE, cv2.INTER_LINEAR)
    return np.clip(moved + 255 * made.light[t][..., None], 0, 255)


def inner(region_HW: np.ndarray) -> np.ndarray:
    return (
        cv2.erode(region_HW.astype(np.uint8), np.ones((5, 5), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
        > 0
    )


def moving_frames(made: Commercial) -> list[int]:
    """Frames of shots that a cut began, late enough that something moved."""
    whole = [t for t in range(17) if made.share[t] == 1 and made.share[made.first[t]] == 1 and made.first[t] < t]
    return [t for t in whole if np.abs(made.flow[t]).max() * SIDE > 1.5]


@pytest.mark.parametrize("where", ["product", "scene"])
@pytest.mark.parametrize(
    ("films", "least"), [(30, 58), pytest.param(120, 46, marks=pytest.mark.full)], ids=["30 films", "120 films"]
)
def test_the_first_frame_moved_by_the_exact_flow_is_the_later_frame(films: int, least: float, where: str) -> None:
    exact, shuffled = [], []
    rng = np.random.default_rng(0)
    for seed in range(films):
        made = film(seed, overlays=False)
        for t in moving_frames(made):
            on_product = made.mask[t] > 250
            region = inner(made.seen[t] & (on_product if where == "product" else made.mask[t] == 0))
            # A mouth moves by itself, and where layers meet a pixel shows both.
            edges = cv2.morphologyEx(made.layer[t], cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
            region &= ~edges & ~face_of(made, t)
            if region.sum() < 60:
                continue
            exact.append(psnr(warped(made, t, made.flow[t])[region], made.frames[t][region]))
            mixed = made.flow[t].reshape(-1, 2)[rng.permutation(SIDE * SIDE)].reshape(SIDE, SIDE, 2)
            shuffled.append(psnr(warped(made, t, mixed)[region], made.frames[t][region]))
    assert len(exact) > 60
    assert min(exact) > least and np.mean(np.array(exact) > 58) > 0.97
    assert np.median(shuffled) < 36 and np.mean(np.array(shuffled) < np.array(exact) - 8) > 0.9


def face_of(made: Commercial, t: int) -> np.ndarray:
    region = np.zeros((SIDE, SIDE), bool)
    x0, y0, x1, y1 = np.round(made.face[t]).astype(int)
    region[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
    return region


def test_layers_are_in_order_of_depth_and_the_mask_is_the_nearest() -> None:
    for seed in range(20):
        made = film(seed)
        for t, shot in enumerate(made.shot):
            depths = [depth for _, depth in made.depths[shot]]
            assert depths == sorted(depths, reverse=True) and made.depths[shot][-1] == ("product", 1.0)
            assert ((made.layer[t] == len(depths) - 1) == (made.mask[t] > 127)).all()
            assert made.layer[t].max() < len(depths)


def test_the_camera_path_explains_the_flow_of_the_backdrop() -> None:
    """The backdrop is the plane Z = depth: its flow follows from the path and that depth, and from no other depth."""
    errors, wrong = [], []
    for seed in range(30):
        made = film(seed, overlays=False)
        for t in moving_frames(made):
            region = made.layer[t] == 0
            if region.any():
                depth = made.depths[made.shot[t]][0][1]
                errors.append(np.abs(plane_flow(made.camera[t], depth) - made.flow[t])[region].max() * SIDE)
                wrong.append(np.abs(plane_flow(made.camera[t], 0.5 * depth) - made.flow[t])[region].max() * SIDE)
    assert len(errors) > 60
    assert max(errors) < 0.02
    assert np.mean(wrong) > 0.3


def plane_flow(camera_34: np.ndarray, depth: float) -> np.ndarray:
    at = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    x, y = np.meshgrid(at, at)
    rays = np.stack([x / FOCAL, y / FOCAL, np.ones_like(x)], -1)
    camera = camera_34.astype(float)
    forward = camera[:, :3] + np.outer(camera[:, 3], [0, 0, 1 / depth])
    source = rays @ np.linalg.inv(forward).T
    return (source[..., :2] / source[..., 2:] * FOCAL - np.stack([x, y], -1)) / 2


# --- cuts ---


def changes(made: Commercial) -> np.ndarray:
    """How much each frame differs from the one before it; 0 for the first."""
    return np.concatenate([[0], np.abs(np.diff(made.frames.astype(int), axis=0)).mean((1, 2, 3))])


def test_cuts_are_where_frames_differ_most() -> None:
    films = [film(seed, overlays=False) for seed in range(50)]
    hard = [made for made in films if made.cuts and all(cut.kind == "cut" for cut in made.cuts)]
    assert len(hard) > 15
    found = [set(np.argsort(changes(made))[-len(made.cuts) :]) == {cut.frame for cut in made.cuts} for made in hard]
    late = [set(np.argsort(changes(made))[-len(made.cuts) :]) == {c.frame + 1 for c in made.cuts} for made in hard]
    assert np.mean(found) > 0.95
    assert not any(late)


def test_a_dissolve_goes_from_one_shot_to_the_other() -> None:
    seen = 0
    for seed in range(50):
        made = film(seed, overlays=False)
        for cut in made.cuts:
            between = made.frames[cut.start : cut.stop].astype(int)
            assert (len(between) >= 2) == (cut.kind == "dissolve") and (len(between) == 0) == (cut.kind == "cut")
            assert (made.share[cut.start : cut.stop] < 1).all()
            assert made.share[cut.start - 1] == made.share[cut.stop] == 1
            if cut.kind == "cut" or np.abs(made.frames[cut.start - 1].astype(int) - made.frames[cut.stop]).mean() < 15:
                continue
            seen += 1
            from_old = np.abs(between - made.frames[cut.start - 1]).mean((1, 2, 3))
            to_new = np.abs(between - made.frames[cut.stop]).mean((1, 2, 3))
            assert (np.diff(from_old) > 0).all() and (np.diff(to_new) < 0).all()
            assert made.shot[cut.frame] == made.shot[cut.frame - 1] + 1
    assert seen > 10


# --- overlays ---


def test_overlays_are_inside_their_boxes_and_fill_them() -> None:
    likeness, moved = [], []
    for seed in range(30):
        plan = plan_commercial(seed, 1.0)
        bare = film(seed, overlays=False)
        for overlay in plan.overlays:
            made = film_commercial(replace(plan, overlays=(overlay,)), SIDE, SIDE)
            differs_THW = (made.frames != bare.frames).any(-1)
            for t in range(17):
                x0, y0, x1, y1 = made.boxes[0, t]
                outside = differs_THW[t].copy()
                outside[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = False
                assert not outside.any()
                assert not (differs_THW[t] & (made.overlay[t] == 0)).any()
            shown = [t for t in range(17) if made.overlay[t].max() > 200 and differs_THW[t].any()]
            likeness += [overlap(made.boxes[0, t], box_of(differs_THW[t])) for t in shown]
            moved += [overlap(made.boxes[0, t] + (6, 4, 6, 4), box_of(differs_THW[t])) for t in shown]
    assert len(likeness) > 150
    assert np.mean(likeness) > 0.97 and min(likeness) > 0.8
    assert np.mean(moved) < 0.7


def box_of(region_HW: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(region_HW.any(1)), np.flatnonzero(region_HW.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    both = np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None).prod()
    return float(both / ((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - both))


def test_overlays_show_in_their_shots_only() -> None:
    kinds = set()
    for seed in range(40):
        made = film(seed)
        for overlay, boxes in zip(made.plan.overlays, made.boxes, strict=True):
            shown = boxes[:, 0] >= 0
            assert set(made.shot[shown]) <= set(range(overlay.first, overlay.last + 1)) and shown.any()
            kinds.add((overlay.kind, overlay.entry))
    assert {kind for kind, _ in kinds} == {"headline", "price", "logo"} and len(kinds) >= 8


# --- label ---


def test_the_label_is_in_its_box() -> None:
    inside, beside = [], []
    for seed in range(40):
        plan = plan_commercial(seed, 1.0)
        if not plan.identity.label:
            continue
        made, blank = film(seed, overlays=False), film_commercial(without_label(plan), SIDE, SIDE, overlays=False)
        change_THW = np.abs(made.frames.astype(int) - blank.frames).sum(-1)
        for t in range(17):
            if made.share[t] == 1 and change_THW[t].sum() > 800:
                inside.append(share_inside(change_THW[t], made.label[t]))
                wide = made.label[t, 2] - made.label[t, 0]
                beside.append(share_inside(change_THW[t], made.label[t] + np.array([wide / 2, 0, wide / 2, 0])))
    assert len(inside) > 100
    assert np.percentile(inside, 5) > 0.97
    assert np.mean(beside) < 0.75


def without_label(plan: Plan) -> Plan:
    shots = []
    for shot in plan.shots:
        product = shot.stage.scene.product
        parts = tuple(part for part in product.body.parts if part.text != plan.identity.brand)
        product = replace(product, body=replace(product.body, parts=parts))
        shots.append(replace(shot, stage=replace(shot.stage, scene=replace(shot.stage.scene, product=product))))
    return replace(plan, shots=tuple(shots))


def share_inside(change_HW: np.ndarray, box: np.ndarray) -> float:
    x0, y0 = np.floor(np.clip(box[:2] - 1, 0, None)).astype(int)
    x1, y1 = np.ceil(np.clip(box[2:] + 1, 0, None)).astype(int)
    return float(change_HW[y0:y1, x0:x1].sum() / change_HW.sum())


# --- voice and face ---


def test_the_mouth_opens_with_the_voice() -> None:
    exact, reversed_ = [], []
    for seed in range(40):
        plan = plan_commercial(seed, 1.0)
        if not any(shot.role == "talk" for shot in plan.shots):
            continue
        made = film_commercial(plan, 96, 96, 49, overlays=False)
        talking = np.flatnonzero((made.face[:, 0] >= 0) & (made.share == 1))
        loud = made.loudness[talking]
        if len(talking) < 12 or loud.std() < 0.15:
            continue
        opening = np.array([mouth_change(made, t, talking[np.argmin(loud)]) for t in talking])
        exact.append(correlation(opening, loud))
        reversed_.append(correlation(opening, loud[::-1]))
    assert len(exact) >= 6
    assert min(exact) > 0.9
    assert np.mean(reversed_) < 0.4


def mouth_change(made: Commercial, t: int, closed: int) -> float:
    """How far the lower half of the face looks otherwise than with the mouth closed."""
    one, other = (lower_face(made.frames[at], made.face[at]) for at in (t, closed))
    return float(np.abs(one - other).mean())


def lower_face(frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    x0, y0, x1, y1 = box
    top = y0 + 0.62 * (y1 - y0)
    xs, ys = np.linspace(x0 + 0.2 * (x1 - x0), x1 - 0.2 * (x1 - x0), 16), np.linspace(top, y1 - 0.06 * (y1 - y0), 12)
    x, y = np.meshgrid(xs.astype(np.float32) - 0.5, ys.astype(np.float32) - 0.5)
    return cv2.remap(frame, x, y, cv2.INTER_LINEAR).astype(float)


def test_the_sound_is_as_loud_as_the_envelope_says() -> None:
    backwards = []
    for seed in range(6):
        voice = plan_commercial(seed, 1.0).voice
        samples, hop = sound(voice), RATE // 25
        windows = samples[: len(samples) // hop * hop].reshape(-1, hop)
        loud = envelope(voice, (np.arange(len(windows)) + 0.5) / 25)
        assert np.abs(samples).max() <= 1 and loud.min() >= 0 and loud.max() <= 1
        assert correlation(np.sqrt((windows**2).mean(1)), loud) > 0.9
        backwards.append(correlation(np.sqrt((windows**2).mean(1)), loud[::-1]))
    assert np.mean(backwards) < 0.5


# --- identity and words ---


def signature(made: Commercial, shot: int) -> np.ndarray:
    """Colours of the product's pixels in a shot, as a histogram."""
    pixels = made.frames[(made.shot == shot) & (made.share == 1)]
    mask = made.mask[(made.shot == shot) & (made.share == 1)] > 250
    counts, _ = np.histogramdd(pixels[mask], bins=(6, 6, 6), range=[(0, 256)] * 3)
    smooth = cv2.GaussianBlur(counts.reshape(36, 6), (3, 3), 0.8) + counts.reshape(36, 6)
    return np.sqrt(smooth / max(smooth.sum(), 1)).ravel()


def test_the_product_of_two_shots_is_the_same_and_not_that_of_another_commercial() -> None:
    films = [film(seed, overlays=False) for seed in range(40)]
    films = [made for made in films if len(made.plan.shots) >= 2]
    ends = [(signature(made, 0), signature(made, len(made.plan.shots) - 1)) for made in films]
    same = [float(one @ other) for one, other in ends]
    others = [[float(one @ ends[j][1]) for j in range(len(ends)) if j != i] for i, (one, _) in enumerate(ends)]
    nearer = [np.mean(np.array(other) < own) for own, other in zip(same, others, strict=True)]
    assert np.mean(nearer) > 0.95
    assert np.mean([np.mean(other) for other in others]) < 0.6 * np.mean(same)


def test_an_identity_is_the_same_product_in_every_commercial() -> None:
    one, other = plan_commercial(1, 1.0, identity=9), plan_commercial(2, 9 / 16, identity=9)
    assert one.identity.label == other.identity.label and one.identity.number == 9
    outlines = [[part.outline for part in plan.identity.body.parts] for plan in (one, other)]
    assert all((a == b).all() for a, b in zip(*outlines, strict=True))
    assert len({sample_identity(number).brand_name for number in range(50)}) > 45


def test_captions_say_what_the_shot_is_and_nothing_else() -> None:
    for seed in range(60):
        plan = plan_commercial(seed, 1.0)
        for index, shot in enumerate(plan.shots):
            said = shot.caption.lower()
            noun = plan.identity.body.noun
            assert any(phrase in said for phrase in CAMERA_PHRASES[shot.motion.camera])
            assert any(phrase.format(noun=noun) in said for phrase in SUBJECT_PHRASES[shot.motion.subject])
            for sign, opposite in (("left", "right"), ("right", "left"), ("-in", "-out"), ("-out", "-in")):
                against = CAMERA_PHRASES.get(shot.motion.camera.replace(sign, opposite), ())
                if shot.motion.camera.endswith(sign):
                    assert not any(phrase in said for phrase in against)
            assert said.startswith(FRAMINGS[shot.role].words) and plan.identity.colour in said
            assert ("talks" in said) == (shot.stage.presenter is not None)
            for overlay in plan.overlays:
                shown = overlay.first <= index <= overlay.last
                assert (f"the {overlay.kind} " in said) == any(
                    o.kind == overlay.kind and o.first <= index <= o.last for o in plan.overlays
                )
                assert not shown or overlay.text.lower() in said
            assert shot.caption[1:] in plan.caption
        assert plan.caption.count("Cut to") == sum(join.kind == "cut" for join in plan.joins)


def test_variety() -> None:
    plans = [plan_commercial(seed, 1.0) for seed in range(200)]
    assert len({plan.identity.body.noun for plan in plans}) >= 20
    assert {join.kind for plan in plans for join in plan.joins} == {"cut", "dissolve"}
    assert {len(plan.shots) for plan in plans} == {1, 2, 3, 4}
    assert 0.5 < np.mean([plan.identity.label != "" for plan in plans]) < 0.9
    assert len({hashlib.sha256(plan.caption.encode()).hexdigest() for plan in plans}) == 200


def test_a_sheet_shows_films_and_truth() -> None:
    side, columns = 40, 5
    sheet = draw_sheet([36, 45], truth=1, side=side, columns=columns)
    assert sheet.shape == (5 * (side + GAP) - GAP, columns * (side + GAP) - GAP, 3)
    layers = sheet[2 * (side + GAP) : 3 * (side + GAP) - GAP, :side]
    assert (layers == 255).all(-1).any() and (layers == 40).all(-1).any()


def test_refuses_what_cannot_be_filmed() -> None:
    with pytest.raises(ValueError, match="aspect"):
        make_commercial(0, 10, 90)
    with pytest.raises(ValueError, match="seed"):
        plan_commercial(-1, 1.0)
    with pytest.raises(ValueError, match="identity"):
        plan_commercial(0, 1.0, identity=-4)
    plan = next(plan for plan in (plan_commercial(seed, 1.0) for seed in range(99)) if len(plan.shots) == 4)
    with pytest.raises(ValueError, match="16 frames"):
        film_commercial(plan, 64, 64, frames=15)
    with pytest.raises(ValueError, match="planned for"):
        film_commercial(plan, 64, 32)
