"""What is found of a product in its mask."""

import tracemalloc

import cv2
import numpy as np

from engine.media.islands import Islands
from engine.media.subject import find_subjects


def test_the_outline_is_the_hull_of_all_that_is_solid() -> None:
    mask = np.zeros((900, 700), np.uint8)
    cv2.ellipse(mask, (350, 450), (120, 330), 25, 0, 360, 255, -1)
    cv2.circle(mask, (560, 300), 60, 255, -1)

    outline = next(find_subjects(Islands(mask), (700, 900), 1.0, "transparent")).outline

    assert outline is not None
    ys, xs = np.nonzero(mask)
    corners = np.stack([np.concatenate([xs, xs + 1, xs, xs + 1]), np.concatenate([ys, ys, ys + 1, ys + 1])], -1)
    exact = cv2.convexHull(corners.astype(np.float32))
    assert cv2.contourArea(outline.astype(np.float32)) == cv2.contourArea(exact)
    assert np.array_equal(outline.min(0), corners.min(0)) and np.array_equal(outline.max(0), corners.max(0))


def test_a_large_mask_is_not_copied_for_its_outline(monkeypatch) -> None:
    mask = np.full((4000, 5000), 255, np.uint8)
    islands = Islands(mask)
    islands.box(islands.counting())  # has copies of its own

    def peak(strip: int) -> int:
        monkeypatch.setattr("engine.media.subject._STRIP", strip)
        tracemalloc.start()
        next(find_subjects(islands, (5000, 4000), 1.0, "transparent"))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(256) < 0.3 * mask.nbytes
    assert peak(4000) > 1.5 * mask.nbytes, "the control: all rows at once"
