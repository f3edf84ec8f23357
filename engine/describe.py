"""What a motion is, in numbers: fitted to the fields themselves, so that a report says what was made and not what was
asked.
"""

from __future__ import annotations

import cv2
import numpy as np

from engine.media.fields import MotionFields


def describe_motion(fields: MotionFields, mask_HW: np.ndarray, aspect: float) -> dict[str, float]:
    """Travel over the clip. Positive: pan and tilt as the picture travels right and down (fractions of the frame),
    zoom the product's growth, roll clockwise degrees, parallax the far scene's travel to the right beyond the
    product's, light the largest light on the product (fraction of full scale). `aspect`: of the film.
    """
    height, width = fields.light.shape[1:]
    product = cv2.resize(mask_HW.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.5
    if product.sum() < 8:
        product = np.ones_like(product)
    scene = fit_similarity(fields.scene_flow[-1], np.ones_like(product), aspect)
    held = fit_similarity(fields.product_flow[-1], product, aspect)
    return {
        "pan": round(-scene[0], 4),
        "tilt": round(-scene[1], 4),
        "zoom": round(1 / (1 + held[2]) - 1, 4),
        "roll": round(float(np.rad2deg(-scene[3])), 3),
        "parallax": round(held[0] - scene[0], 4),
        "light": round(float(np.abs(fields.light * product).max()), 4),
    }


def fit_similarity(flow_hw2: np.ndarray, where_hw: np.ndarray, aspect: float) -> tuple[float, float, float, float]:
    """Least squares (dx, dy at the centre of `where`, scale, rotation) of a backward flow in fractions of the frame."""
    height, width = where_hw.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    x, y = ((x + 0.5) / width)[where_hw], ((y + 0.5) / height / aspect)[where_hw]
    u, v = flow_hw2[..., 0][where_hw].astype(np.float64), flow_hw2[..., 1][where_hw] / aspect
    x, y = x - x.mean(), y - y.mean()
    moment = (x * x + y * y).sum()
    scale = float((x * u + y * v).sum() / moment)
    rotation = float((x * v - y * u).sum() / moment)
    return float(u.mean()), float(v.mean() * aspect), scale, rotation
