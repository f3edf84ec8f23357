"""What part of a photo a video would show, told before it is made: the engine's own plan, on the photo made small."""

from functools import lru_cache

import numpy as np
from PIL import Image

from engine.media.background import Background, background_kind
from engine.media.framing import Framing, plan_framing
from engine.media.photo import Photo, open_photo
from engine.requests import ImageToVideo
from studio.assets.models import Asset
from studio.assets.photos import DECODING
from studio.media import path_of

WORKING_PIXELS = 4_000_000  # of a mask that is kept; an edge of the product is then off by a thousandth at most
LOOK_SIDE = 768  # of the photo when its background is looked at: the engine looks at even fewer pixels

Size = tuple[int, int]


def preview_framing(asset: Asset, request: ImageToVideo) -> tuple[Framing, Size]:
    """The framing of a photo for a request, and the size of the small photo in whose pixels it is told.

    Without a mask as if there were no product.
    """
    size = working_size((asset.width, asset.height))
    mask = _product(asset.mask_file, size) if asset.mask_file else None
    background = "transparent" if asset.has_alpha else _background(asset.file, asset.mask_file, size)
    plan = plan_framing(size, mask, request.format, request.camera, background=background, motion=request.subject)
    return plan, size


def backdrop_of(asset: Asset) -> str | None:
    """The colour that the engine lays see-through parts of the photo over, "#rrggbb"; None for an opaque photo."""
    return _backdrop(asset.file) if asset.has_alpha else None


def working_size(size: Size) -> Size:
    """A photo's size, made smaller where it has more than WORKING_PIXELS; no side shorter than a pixel."""
    scale = min(1.0, (WORKING_PIXELS / (size[0] * size[1])) ** 0.5)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


# Stored files never change under their names, and a form asks at every turn of a knob. Decoding takes its turn with
# that of uploads, since a photo of 100 megapixels is large while it is open; what is kept is small.


@lru_cache(maxsize=8)
def _product(mask_file: str, size: Size) -> np.ndarray:
    with DECODING, Image.open(path_of(mask_file), formats=("PNG",)) as picture:
        return np.asarray(picture.convert("L").resize(size, Image.Resampling.BOX))


@lru_cache(maxsize=256)
def _backdrop(file: str) -> str | None:
    with DECODING:
        chosen = open_photo(path_of(file)).backdrop
    return None if chosen is None else "#{:02x}{:02x}{:02x}".format(*chosen)


@lru_cache(maxsize=256)
def _background(file: str, mask_file: str, size: Size) -> Background:
    with DECODING, Image.open(path_of(file), formats=("JPEG", "PNG", "WEBP")) as picture:
        picture.draft("RGB", (LOOK_SIDE, LOOK_SIDE))
        photo = Photo(np.asarray(picture.convert("RGB")))
    if not mask_file:
        return background_kind(photo, None)
    mask = Image.fromarray(_product(mask_file, size)).resize(photo.size, Image.Resampling.BOX)
    return background_kind(photo, np.asarray(mask))
