"""The automatic mask's outline follows the picture's edges; specks go, large parts stay."""

import cv2
import numpy as np

from engine.mask import SIDE, refine


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
