"""From an upload to the files of a photo asset. Nothing of the uploaded bytes is kept but the pixels."""

import threading
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from PIL import Image

from engine.media.errors import MediaError
from engine.media.masks import open_mask
from engine.media.photo import ImageInfo, clean_image, open_photo
from studio.assets import files
from studio.media import CONTENT_TYPES, file_name

THUMBNAIL_SIDE = 480
MAX_ASPECT_DIFFERENCE = 0.02
DECODING = threading.BoundedSemaphore(2)  # a photo of 100 megapixels takes 300 MB while it is open


@dataclass(frozen=True)
class StoredPhoto:
    """The files of a photo by their stored names, and what is known of the picture (pixels, bytes)."""

    file: str
    content_type: str
    width: int
    height: int
    bytes: int
    sha256: str
    thumbnail: str
    alpha_mask: str | None


def store_photo(upload: Path, workspace_id: UUID, asset_id: UUID) -> StoredPhoto:
    """Check, re-encode and store an uploaded photo with its thumbnail. Raises MediaError."""
    with files.draft_folder() as draft, DECODING:
        cleaned, info = _clean(upload, draft)
        alpha = open_photo(cleaned).alpha if info.has_alpha else None
        with Image.open(cleaned, formats=("JPEG", "PNG", "WEBP")) as picture:
            picture.draft("RGB", (2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))
            write_thumbnail(picture, draft / "thumbnail.webp")
        if alpha is not None:
            Image.fromarray(alpha, "L").save(draft / "mask-alpha.png")
        stored = StoredPhoto(
            file=file_name(workspace_id, asset_id, cleaned.name),
            content_type=info.content_type,
            width=info.width,
            height=info.height,
            bytes=info.bytes,
            sha256=files.sha256_of(cleaned),
            thumbnail=file_name(workspace_id, asset_id, "thumbnail.webp"),
            alpha_mask=None if alpha is None else file_name(workspace_id, asset_id, "mask-alpha.png"),
        )
        files.adopt(draft, workspace_id, asset_id)
    return stored


def _clean(upload: Path, draft: Path) -> tuple[Path, ImageInfo]:
    written = draft / "photo"
    info = clean_image(upload, written)
    suffix = next(suffix for suffix, kind in CONTENT_TYPES.items() if kind == info.content_type)
    return written.rename(written.with_suffix(suffix)), info


def store_painted_mask(upload: Path, workspace_id: UUID, asset_id: UUID, width: int, height: int) -> str:
    """Store a painted mask as 8-bit gray in the photo's size; its stored name.

    White is product, or what is opaque in a picture that is cut out. It may be empty. Raises MediaError.
    """
    with files.draft_folder() as draft, DECODING:
        gray = open_mask(upload)
        _require_aspect(gray.shape[1], gray.shape[0], width, height)
        mask = Image.fromarray(gray, "L")
        if mask.size != (width, height):
            mask = mask.resize((width, height), Image.Resampling.BILINEAR)
        mask.save(draft / "mask.png")
        return files.publish(draft / "mask.png", workspace_id, asset_id, files.fresh_name("mask", ".png"))


def write_thumbnail(picture: Image.Image, thumbnail: Path) -> None:
    """Write a WebP of at most 480 pixels a side."""
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    picture.save(thumbnail, "WEBP", quality=82)


def _require_aspect(width: int, height: int, photo_width: int, photo_height: int) -> None:
    difference = abs(width * photo_height / (height * photo_width) - 1)
    if difference > MAX_ASPECT_DIFFERENCE + 1 / min(width, height):
        raise MediaError(
            "wrong_aspect",
            f"The mask is {width}x{height}, its photo {photo_width}x{photo_height}: keep the photo's proportions.",
        )
