"""What part of a photo a video would show, told before it is made: the engine's own plan on the same photo."""

from functools import lru_cache

import numpy as np
from PIL import Image

from engine.media.framing import Background, Framing, background_kind, plan_framing
from engine.media.photo import open_photo
from engine.requests import ImageToVideo
from studio.assets.models import Asset
from studio.media import path_of


def preview_framing(asset: Asset, request: ImageToVideo) -> Framing:
    """The framing of a photo for a request, in photo pixels; without a mask as if there were no product."""
    mask, background = _product_and_background(asset.thumbnail, asset.mask_file)
    size = (asset.width, asset.height)
    return plan_framing(size, mask, request.format, request.camera, background=background)


@lru_cache(maxsize=4)  # stored files never change under their names, and a form asks at every turn of a knob
def _product_and_background(thumbnail: str, mask_file: str) -> tuple[np.ndarray | None, Background]:
    photo = open_photo(path_of(thumbnail))
    if not mask_file:
        return None, background_kind(photo, None)
    with Image.open(path_of(mask_file), formats=("PNG",)) as picture:
        gray = picture.convert("L")
    small = np.asarray(gray.resize(photo.size, Image.Resampling.BOX))
    return np.asarray(gray), background_kind(photo, small)
