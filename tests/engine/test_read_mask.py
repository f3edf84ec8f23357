"""A mask that is given with a photo: of the photo's own shape, at any size."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.media.masks import read_mask


def saved(path: Path, mask: np.ndarray) -> Path:
    Image.fromarray(mask).save(path)
    return path


def box(width: int, height: int) -> np.ndarray:
    """The middle ninth is the product."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 255
    return mask


@pytest.mark.parametrize("shape", [(400, 100), (600, 300), (300, 590)])
def test_a_mask_of_another_shape_is_refused_with_a_sentence(tmp_path: Path, shape: tuple[int, int]) -> None:
    """The second is that of the photo's pixels before EXIF turned them."""
    with pytest.raises(ValueError, match=rf"The mask is {shape[0]} x {shape[1]}, but the photo 300 x 600: .*\.$"):
        read_mask(saved(tmp_path / "mask.png", box(*shape)), (300, 600))


@pytest.mark.parametrize("shape", [(300, 600), (150, 300), (1200, 2400), (33, 67), (299, 600)])
def test_a_mask_of_the_photos_shape_fits_at_any_size(tmp_path: Path, shape: tuple[int, int]) -> None:
    read = read_mask(saved(tmp_path / "mask.png", box(*shape)), (300, 600))

    wanted = box(300, 600).astype(float) / 255
    assert read.shape == (600, 300) and read.dtype == np.uint8
    assert np.minimum(read / 255, wanted).sum() > 0.9 * np.maximum(read / 255, wanted).sum()


def test_thin_parts_of_a_large_mask_are_not_lost(tmp_path: Path) -> None:
    large = np.zeros((1000, 1000), np.uint8)
    large[:, 502:504] = 255  # between the pixels that a tenth of the size would read

    read = read_mask(saved(tmp_path / "mask.png", large), (100, 100))

    assert read.sum() == pytest.approx(large.sum() / 100, rel=0.05)
    assert not np.asarray(Image.fromarray(large).resize((100, 100), Image.Resampling.NEAREST)).any(), "the control"
