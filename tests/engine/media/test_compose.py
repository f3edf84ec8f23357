"""Frames: exact at the start, sharp at the end, no halo, no ghost, no border."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from engine.media.background import background_kind
from engine.media.compose import Compositor, preview_jpeg, render_frame
from engine.media.fields import fit_to_canvas
from engine.media.layers import shrink
from engine.media.photo import Photo, open_photo
from tests.engine.media.pictures import Shot, detail, frame_shot, make_fields, make_shot, psnr, warp

SIZE = (270, 480)


def cut_out(tmp_path) -> Shot:
    shot = make_shot()
    path = tmp_path / "cut-out.png"
    Image.fromarray(np.dstack([shot.product, shot.alpha])).save(path)
    photo = open_photo(path)
    return Shot(photo, shot.alpha, np.broadcast_to(photo.backdrop, shot.product.shape), shot.product)


def without_product(tmp_path) -> Shot:
    shot = make_shot()
    return replace(shot, alpha=np.zeros_like(shot.alpha))


SHOTS = {
    "in a scene": lambda _: make_shot(),
    "on a plain ground": lambda _: make_shot(plain=True),
    "cut out": cut_out,
    "no product": without_product,
    "200 x 200": lambda _: make_shot(200, 200),
    "panorama": lambda _: make_shot(1800, 300),
    "product fills the photo": lambda _: Shot(
        Photo(make_shot().product), np.full((640, 420), 255, np.uint8), make_shot().background, make_shot().product
    ),
}


@pytest.mark.parametrize("name", SHOTS)
@pytest.mark.parametrize("size", [(270, 480), (480, 270)])
def test_frame_0_is_the_reframed_photo(name: str, size: tuple[int, int], tmp_path) -> None:
    shot = SHOTS[name](tmp_path)
    framing, layers = frame_shot(shot, size, "dolly-out", background_kind(shot.photo, shot.alpha))

    first = render_frame(layers, make_fields("dolly-out"), 0.0)

    assert psnr(first, layers.window_photo()) > 45
    assert psnr(render_frame(layers, make_fields("dolly-out"), 0.5), layers.window_photo()) < 45  # it does move
    if not framing.extended:
        x0, y0, x1, y1 = (round(edge) for edge in framing.window)
        assert psnr(first, cv2.resize(shot.photo.rgb[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA)) > 24


@pytest.mark.parametrize("blur", [0, 2, 5])
def test_frame_0_is_exact_with_a_poor_mask_too(blur: int) -> None:
    shot = make_shot()
    poor = cv2.erode(shot.alpha, np.ones((7, 7)))
    poor = cv2.GaussianBlur(poor, (0, 0), blur) if blur else poor
    _, layers = frame_shot(replace(shot, alpha=poor))

    assert psnr(render_frame(layers, make_fields("apart"), 0.0), layers.window_photo()) > 45


def halo(mask_grown: int) -> float:
    """Farthest wrong pixel from the product that moved a tenth, in px of 1080; the ground is plain, so known.

    `mask_grown`: pixels by which the mask is too large, the mistake that carries background along.
    """
    shot = make_shot(540, 960, plain=True, hairs=0)
    ground = np.where(np.arange(540)[:, None] < 380, 60, 200).astype(np.uint8)[None].repeat(3, 2).repeat(960, 0)
    a = shot.alpha[..., None] / 255
    photo = Photo(np.rint(shot.product * a + ground * (1 - a)).astype(np.uint8))
    mask = cv2.dilate(shot.alpha, np.ones((2 * mask_grown + 1, 2 * mask_grown + 1), np.uint8))
    _, layers = frame_shot(Shot(photo, mask, ground, shot.product), (540, 960))
    frame = render_frame(layers, make_fields("apart", amount=0.1), 1.0).astype(int)

    leading = np.s_[:, 400:]  # it came from the dark part and now covers the bright one, of which all is seen
    is_product = np.roll(shot.alpha > 2, 54, axis=1)
    wrong = (np.abs(frame - ground).max(-1) > 16) & ~is_product
    away = cv2.distanceTransform((~is_product).astype(np.uint8), cv2.DIST_L2, 5)
    return float((away * wrong)[leading].max()) * 2


@pytest.mark.parametrize(("mask_grown", "holds"), [(0, True), (1, True), (8, False)])
def test_no_halo_at_the_edge_of_a_product_that_moved_a_tenth(mask_grown: int, holds: bool) -> None:
    assert (halo(mask_grown) <= 4) == holds


@pytest.mark.parametrize("too_tight", [0, 3])
def test_no_ghost_of_the_product_stays_behind(too_tight: int) -> None:
    shot = make_shot(540, 960)
    mask = cv2.erode(shot.alpha, np.ones((too_tight, too_tight), np.uint8)) if too_tight else shot.alpha
    _, layers = frame_shot(replace(shot, alpha=mask), (540, 960), "pan-left")
    fields = make_fields("apart", amount=0.1)

    def red_left_behind(frame: np.ndarray) -> int:
        was = layers.window_mask() > 0
        is_now = np.roll(cv2.dilate(was.astype(np.uint8), np.ones((9, 9))), 54, axis=1) > 0
        where = cv2.dilate(was.astype(np.uint8), np.ones((9, 9))).astype(bool) & ~is_now
        return int((where & (frame[..., 0].astype(int) - frame[..., 1] > 70)).sum())

    frame = render_frame(layers, fields, 1.0)
    photo_as_scene = replace(layers, scene=layers.photo, depth=np.zeros_like(layers.depth))

    assert red_left_behind(frame) == 0
    assert red_left_behind(render_frame(photo_as_scene, fields, 1.0)) > 1000


@pytest.mark.parametrize("kind", ["pan", "dolly-in", "dolly-out", "roll"])
def test_the_last_frame_is_as_sharp_as_a_lanczos_warp(kind: str) -> None:
    shot = make_shot(1080, 1920)
    _, layers = frame_shot(shot, (540, 960), {"pan": "pan-left", "roll": "roll-left"}.get(kind, kind))
    fields = make_fields(kind, amount=0.11)
    flow = cv2.resize(fields.product_flow[-1], (540, 960), interpolation=cv2.INTER_LINEAR)
    reference = warp(layers.window_photo(), flow)
    inside = cv2.erode(warp(layers.window_mask(), flow, cv2.INTER_LINEAR), np.ones((9, 9))) == 255

    ratio = detail(render_frame(layers, fields, 1.0), inside) / detail(reference, inside)
    bilinear = detail(warp(layers.window_photo(), flow, cv2.INTER_LINEAR), inside) / detail(reference, inside)

    assert 0.85 <= ratio <= 1.15
    assert bilinear < 0.85


def test_frames_follow_the_fields() -> None:
    _, layers = frame_shot(make_shot(), SIZE, "pan-left")
    fields = make_fields("pan", amount=0.1)

    frame = render_frame(layers, fields, 1.0)

    moved = np.roll(layers.window_photo(), round(0.1 * 270), axis=1)
    away_from_product = np.s_[:, 30:60]
    assert psnr(frame[away_from_product], moved[away_from_product]) > 35


@pytest.mark.parametrize("kind", ["pan", "dolly-out", "roll"])
def test_no_border_ever_shows(kind: str) -> None:
    """Green is painted all around the canvas, and fields ask for far too much."""
    framing, layers = frame_shot(make_shot(), SIZE, "dolly-out")
    around = 60

    def padded(image: np.ndarray, value: tuple[int, ...]) -> np.ndarray:
        rounded = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REFLECT_101)  # the canvas is cut at whole pixels
        return cv2.copyMakeBorder(rounded, *[around - 1] * 4, cv2.BORDER_CONSTANT, value=value)

    marked = replace(
        layers,
        origin=(layers.origin[0] + around, layers.origin[1] + around),
        photo=padded(layers.photo, (150, 44, 21)),
        scene=padded(layers.scene, (150, 44, 21)),
        alpha=padded(layers.alpha, (0,)),
        depth=padded(layers.depth, (0,)),
    )
    wild = make_fields(kind, amount=0.5)

    fitted, factor = fit_to_canvas(wild, framing)

    def green(fields) -> int:
        compositor = Compositor(marked, fields)
        frames = [compositor.frame(u).astype(int) for u in np.linspace(0, 1, 9)]
        return max(int((frame[..., 1] - frame[..., [0, 2]].max(-1) > 60).sum()) for frame in frames)

    assert 0.2 < factor < 0.7
    assert green(fitted) == 0
    assert green(wild) > 5000


def test_still_fields_give_the_same_frame_and_other_times_do_not_disturb_it() -> None:
    _, layers = frame_shot(make_shot())
    still = Compositor(layers, make_fields("still"))
    moving = Compositor(layers, make_fields("pan"))

    assert all((still.planes(u) == still.planes(0.0)).all() for u in (0.3, 0.77, 1.0))
    late = moving.planes(1.0).copy()
    moving.planes(0.2)
    assert (moving.planes(1.0) == late).all() and (moving.planes(0.2) != late).any()


def test_light_falls_on_the_product_only() -> None:
    _, layers = frame_shot(make_shot())
    lit = render_frame(layers, make_fields("sweep"), 0.5).astype(int)
    change = (lit - render_frame(layers, make_fields("still"), 0.5)).max(-1)

    assert change[layers.window_mask() == 255].max() > 40
    assert change[layers.window_mask() == 0].max() <= 1


def lit(light: float, *colours: tuple[int, int, int]) -> list[np.ndarray]:
    """What a product of such stripes shows where all of it is in such light, RGB 0..255, in the middle of each."""
    shot = make_shot(plain=True, hairs=0)
    stripes = np.linspace(0, len(colours), shot.alpha.shape[1], endpoint=False).astype(int)
    product = np.broadcast_to(np.array(colours, np.uint8)[stripes], shot.product.shape)
    a = np.full_like(shot.alpha, 255)
    _, layers = frame_shot(Shot(Photo(product.copy()), a, product, product), SIZE)
    fields = make_fields("still")
    fields.light[1:] = light
    row = render_frame(layers, fields, 1.0)[SIZE[1] // 2].astype(float)
    shown = render_frame(layers, fields, 0.0)[SIZE[1] // 2]
    return [np.median(row[np.abs(shown - np.array(colour, float)).max(-1) < 6], 0) for colour in colours]


def test_light_keeps_letters_and_colours_and_does_not_turn_black_to_milk() -> None:
    white, letters, glaze, black = (220, 218, 212), (120, 130, 128), (15, 60, 70), (8, 8, 8)
    was = [np.array(colour, float) for colour in (white, letters, glaze, black)]
    made = lit(0.5, white, letters, glaze, black)

    added = [float((new - old).mean()) for new, old in zip(made, was, strict=True)]
    assert added[0] > 10 and added[1] > 40 and added[2] > 20, "the control: it is lit"
    assert made[0].max() < 255 - 0.3 * (255 - was[0].max()), "of what is left up to white, some is"
    assert made[0].mean() - made[1].mean() > 0.4 * (was[0].mean() - was[1].mean()), "letters can be read"
    assert np.ptp(made[2]) > 1.4 * np.ptp(was[2]), "a colour that gets lighter gets no paler"
    assert added[3] < 20, "added as it comes it would be 127"


def test_shade_multiplies() -> None:
    white, glaze = (220, 218, 212), (15, 60, 70)
    for new, old in zip(lit(-0.3, white, glaze), (white, glaze), strict=True):
        assert new == pytest.approx(0.71 * np.array(old), abs=4)


def test_a_soft_edge_is_no_brighter_in_the_light_than_what_it_is_the_edge_of() -> None:
    """Premultiplied, the edge of a white product is dark: it would get the light of dark things, a line all around."""
    shot = make_shot(plain=True, hairs=0)
    white, gray = (np.full_like(shot.product, level) for level in (225, 200))
    a = shot.alpha[..., None] / 255
    _, layers = frame_shot(Shot(Photo((white * a + gray * (1 - a)).astype(np.uint8)), shot.alpha, gray, white), SIZE)
    fields = make_fields("still")
    fields.light[1:] = 0.5
    frame = render_frame(layers, fields, 1.0).astype(int)[..., 1]
    assert frame.max() <= np.median(frame[layers.window_mask() == 255]) + 2 > 227


def test_a_plate_that_is_right_about_the_surroundings_is_believed_behind_the_product_and_no_other() -> None:
    """A glow behind the product, brightest where nobody sees it: the surroundings alone do not tell how bright."""
    shot = make_shot(540, 960, hairs=0)
    y, x = np.mgrid[0:960, 0:540].astype(np.float32)
    glow = np.exp(-(np.square(x - 270) + np.square(y - 528)) / (2 * 95**2))[..., None] * np.float32(150) + 60
    glow = np.repeat(glow, 3, -1)
    a = shot.alpha[..., None] / np.float32(255)
    photo = Photo(np.rint(shot.product * a + glow * (1 - a)).astype(np.uint8))
    _, layers = frame_shot(Shot(photo, shot.alpha, glow.astype(np.uint8), shot.product), (540, 960), background="scene")
    right = cv2.resize(glow, (18, 32), interpolation=cv2.INTER_AREA) / np.float32(255)
    fields = replace(make_fields("apart", amount=0.34), plate=right)

    def middle(plate: np.ndarray) -> float:
        """How bright it is where the product's middle was."""
        return float(render_frame(layers, replace(fields, plate=plate), 1.0)[510:546, 250:290].mean())

    unknowing, wrong = np.full_like(right, 0.5), 1 - right
    assert middle(right) > middle(unknowing) + 15
    assert abs(middle(wrong) - middle(unknowing)) < 3  # black behind a glow: what the surroundings do not bear out
    shifted = middle(np.clip(right - 0.1, 0, 1))
    assert abs(shifted - middle(right)) < 3  # off everywhere by the same: taken off first


def test_previews_are_small_and_look_like_the_frame() -> None:
    _, layers = frame_shot(make_shot(1080, 1920), (1080, 1920), "pan-left")
    fields = make_fields("pan")
    small = shrink(layers)

    preview = cv2.imdecode(np.frombuffer(preview_jpeg(small, fields, 0.5), np.uint8), cv2.IMREAD_COLOR_RGB)

    assert preview.shape == (480, 270, 3)
    frame = cv2.resize(render_frame(layers, fields, 0.5), (270, 480), interpolation=cv2.INTER_AREA)
    assert psnr(preview, frame) > 28
