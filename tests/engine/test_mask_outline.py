"""The automatic mask's outline follows the picture's edges; specks go, large parts stay."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine import outline
from engine.mask import Masker
from engine.media.photo import open_photo
from engine.models.product_mask import SIDE
from engine.outline import fill_holes, refine

DEMO = Path(__file__).parents[2] / "studio" / "demo"


def picture_of(shapes: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    rgb = np.where(shapes[..., None] > 0, (190, 60, 40), (70, 110, 150)).astype(np.float32)
    return np.clip(rgb + rng.normal(0, 4, rgb.shape), 0, 255).astype(np.uint8)


def coarse(shapes: np.ndarray, blur: float = 3.0) -> np.ndarray:
    """What a network at SIDE would say of these shapes: right, but soft."""
    small = cv2.resize(shapes.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), blur)


def disc(size: int = 640, centre: tuple[int, int] = (320, 320), radius: int = 150) -> np.ndarray:
    return cv2.circle(np.zeros((size, size), np.uint8), centre, radius, 1, -1)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a > 0.5, b > 0.5
    return (a & b).sum() / (a | b).sum()


def test_the_outline_is_drawn_to_the_edge():
    exact = disc()
    probability = cv2.dilate(coarse(exact), np.ones((5, 5)))  # two cells too wide: 8 px at this size
    plain = cv2.resize(probability, (640, 640), interpolation=cv2.INTER_CUBIC)
    refined = refine(picture_of(exact), probability)
    assert iou(refined, exact) > 0.97
    assert iou(refined, exact) > iou(plain, exact) + 0.03


def test_specks_go_and_a_second_product_stays():
    exact = disc(radius=110, centre=(200, 320)) | disc(radius=90, centre=(470, 320))
    speck = disc(radius=12, centre=(600, 60))
    refined = refine(picture_of(exact | speck), coarse(exact | speck, blur=1.0))
    assert refined[60, 600] == 0
    assert refined[320, 200] > 0.9 and refined[320, 470] > 0.9


def test_no_product_is_an_empty_mask_and_no_crash():
    nothing = np.zeros((300, 200), np.uint8)
    refined = refine(picture_of(nothing), np.full((SIDE, SIDE), 0.02, np.float32))
    assert refined.shape == (300, 200) and refined.max() < 0.1


CONTENT, BACKGROUND = (120, 80, 20), (70, 110, 150)  # what is in a cup; what is seen through a handle


@pytest.mark.parametrize(("seen", "radius", "stays"), [(CONTENT, 40, False), (BACKGROUND, 40, True)])
def test_a_hole_stays_only_where_the_background_shows_through_it(seen, radius: int, stays: bool):
    ring, hole = disc(), disc(radius=radius)
    ring[hole > 0] = 0
    picture = picture_of(disc())
    noise = np.random.default_rng(1).normal(0, 4, picture.shape)
    picture = np.where(hole[..., None] > 0, np.clip(np.array(seen) + noise, 0, 255).astype(np.uint8), picture)
    found = refine(picture, cv2.GaussianBlur(ring.astype(np.float32), (0, 0), 4))  # a network that is sure of the hole
    assert (found[320, 320] < 0.1) == stays
    assert stays or found[240:400, 240:400].min() > 0.99  # no soft rim of the hole is left
    assert iou(found, ring if stays else disc()) > 0.97


def test_specks_in_the_product_are_filled_whatever_they_show():
    exact = disc()
    speckled = exact.astype(np.float32)
    speckled[300:304, 300:304] = 0
    picture = picture_of(exact)
    picture[300:304, 300:304] = BACKGROUND
    assert fill_holes(picture, speckled).min(initial=1, where=exact > 0) == 1
    assert speckled.min(initial=1, where=exact > 0) == 0


def test_a_hole_in_a_product_that_fills_the_picture_stays():
    soft, hole = np.ones((640, 640), np.float32), disc(radius=40) > 0
    soft[hole] = 0
    assert fill_holes(picture_of(disc()), soft)[320, 320] == 0
    soft[hole], soft[318:322, 318:322] = 1, 0  # the control: a speck does not
    assert fill_holes(picture_of(disc()), soft).min() == 1


def test_a_bay_of_the_outline_is_no_hole():
    bay = disc()
    bay[300:340, 320:] = 0
    assert np.array_equal(fill_holes(picture_of(bay), bay.astype(np.float32)), bay)


@pytest.mark.parametrize("shape", [(300, 200), (60, 900), (8, 8)])
def test_the_whole_path_on_any_shape_and_the_same_twice(shape: tuple[int, int]):
    masker = Masker.load()
    photo = np.random.default_rng(1).integers(0, 255, (*shape, 3)).astype(np.uint8)
    first = masker.mask(photo)
    assert first.shape == shape and first.dtype == np.uint8
    assert np.array_equal(first, masker.mask(photo))


@pytest.mark.parametrize("width", [2000, 1250, 1000])
def test_the_board_under_the_sample_mug_is_ground_at_every_size_of_the_photo(width):
    photo = open_photo(DEMO / "photos" / "harbour-mug.jpg").rgb
    mask = Masker.load().mask(cv2.resize(photo, (width, width * 4 // 5), interpolation=cv2.INTER_AREA)) > 127
    assert 0.19 < mask.mean() < 0.24
    assert not mask[-mask.shape[0] // 8 :].any(), "below the mug there is board alone"


class SeesRed(Masker):
    """A masker whose network knows red, in its coarse cells, and notes how finely it was shown the photo."""

    def __init__(self) -> None:
        self.shown: list[float] = []

    def probability(self, rgb: np.ndarray) -> np.ndarray:
        red = ((rgb[..., 0] > 150) & (rgb[..., 1] < 90)).astype(np.float32)
        self.shown.append(float(red.mean()))
        return cv2.GaussianBlur(cv2.resize(red, (SIDE, SIDE), interpolation=cv2.INTER_AREA), (0, 0), 1.0)


def test_the_outline_of_a_small_product_is_drawn_with_the_photos_own_pixels() -> None:
    rng = np.random.default_rng(0)
    photo = np.repeat(rng.integers(120, 136, (2400, 3200, 1), np.uint8), 3, -1)
    truth = np.zeros(photo.shape[:2], np.uint8)
    cv2.circle(truth, (900, 700), 260, 255, -1)
    for tooth in range(740, 1060, 20):  # of a comb: ten pixels wide, ten apart
        truth[900:1060, tooth : tooth + 10] = 255
    photo[truth > 0] = (200, 40, 40)
    masker = SeesRed()
    found = masker.mask(photo)
    assert found.shape == truth.shape and len(masker.shown) == 2 and masker.shown[1] > 4 * masker.shown[0]
    teeth = np.s_[960:1050, 740:1050]
    assert np.mean((found[teeth] > 127) == (truth[teeth] > 0)) > 0.9, "a pixel at the working size is four of the photo"


def test_where_nothing_is_found_the_mask_is_empty_and_what_fills_the_photo_is_seen_once() -> None:
    assert not SeesRed().mask(np.full((300, 400, 3), 128, np.uint8)).any()
    masker = SeesRed()
    full = np.full((300, 400, 3), (200, 40, 40), np.uint8)
    full[:6] = 128
    assert (masker.mask(full) > 127).mean() > 0.95 and len(masker.shown) == 1


def test_a_product_is_solid_where_the_network_is_in_doubt(monkeypatch):
    exact = disc()
    doubtful = coarse(exact)
    doubtful[140:180, 140:180] = 0.52  # as of a dark visor
    inside = cv2.erode(exact, np.ones((41, 41), np.uint8)) > 0
    assert (refine(picture_of(exact), doubtful)[inside] == 1).all()
    monkeypatch.setattr(outline, "_solid", lambda soft, width: soft)
    assert refine(picture_of(exact), doubtful)[inside].min() < 0.9  # the control
