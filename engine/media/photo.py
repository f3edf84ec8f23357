"""Photos from strangers: opened safely, or refused with a code and a sentence."""

from __future__ import annotations

import errno
import io
import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps

from engine.media.errors import MediaError

MAX_PIXELS = 100_000_000
MIN_SIDE = 16
MAX_SIDE = 65_500  # more, a JPEG cannot have
_FORMATS = ("JPEG", "PNG", "WEBP")
_TRANSPARENT_SHARE = 0.002  # fewer see-through pixels than this are rounded corners and scanner dust, not a cut-out
_LIGHT_BACKDROP, _DARK_BACKDROP = (243, 243, 244), (58, 60, 64)
_OTHER_TYPES = {  # magic bytes of what people upload most, for a sentence that helps
    b"GIF8": "a GIF", b"BM": "a BMP", b"II*\0": "a TIFF", b"MM\0*": "a TIFF", b"%PDF": "a PDF", b"8BPS": "a Photoshop",
}  # fmt: skip
_BOX_BRANDS = {b"heic": "a HEIC", b"heix": "a HEIC", b"mif1": "a HEIC", b"avif": "an AVIF", b"avis": "an AVIF"}


@dataclass(frozen=True)
class Photo:
    """A decoded photo, upright and in sRGB.

    `rgb` uint8 [H, W, 3]: see-through pixels are laid over `backdrop`. `alpha` uint8 [H, W], None for an opaque photo.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    backdrop: tuple[int, int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]


@dataclass(frozen=True)
class ImageInfo:
    """What `clean_image` wrote."""

    width: int
    height: int
    content_type: str
    has_alpha: bool
    bytes: int


def open_photo(path: str | os.PathLike[str]) -> Photo:
    """Decode a JPEG, PNG or WebP, by its content and not its name; of several pictures in one JPEG (MPO) the first.

    EXIF orientation is applied, colours are converted to sRGB. MediaError codes: not_an_image, unsupported_type,
    unreadable, truncated, too_many_pixels, too_small, animated, empty (nothing but transparency).
    """
    image = decode(Path(path))
    if image.mode == "RGB":
        return Photo(np.asarray(image))
    rgba = np.asarray(image)
    alpha = np.ascontiguousarray(rgba[..., 3])
    if not (alpha > 8).any():
        raise MediaError("empty", "The picture is fully transparent: there is nothing to show.")
    backdrop = _choose_backdrop(rgba)
    rgb = _flatten(rgba, backdrop)
    return Photo(rgb, alpha, backdrop) if is_cut_out(alpha) else Photo(rgb)


def decode(path: Path) -> Image.Image:
    """An upright sRGB image in mode RGB or RGBA. Raises MediaError like `open_photo`, but for empty."""
    with _open(path) as file:
        _check_type(file.read(32))
        file.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the cap below is ours
                image = Image.open(file, formats=_FORMATS)
                _check_header(image)
                image.load()
        except MediaError:
            raise
        except Image.DecompressionBombError as error:
            raise _too_many_pixels() from error
        except Exception as error:  # decoders raise anything on hostile bytes: OSError, SyntaxError, struct.error ...
            raise MediaError("truncated", "The picture is damaged or incomplete. Export it again and retry.") from error
    return _to_srgb(_upright(image))


def is_cut_out(alpha: np.ndarray) -> bool:
    """Whether so much of a picture is see-through that its shape is meant by it."""
    return bool((alpha < 128).mean() >= _TRANSPARENT_SHARE)


def clean_image(src: str | os.PathLike[str], dst: str | os.PathLike[str]) -> ImageInfo:
    """Re-encode an uploaded picture to `dst`, dropping all metadata: JPEG when opaque, PNG when it has transparency.

    `dst` appears complete or not at all. Raises MediaError like `open_photo`, and disk_full.
    """
    image = decode(Path(src))
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    opaque = alpha is None or np.asarray(alpha).min() == 255
    clean = Image.new("RGB" if opaque else "RGBA", image.size)
    clean.paste(image.convert("RGB") if opaque else image)
    if alpha is not None and np.asarray(alpha).max() <= 8:
        raise MediaError("empty", "The picture is fully transparent: there is nothing to show.")
    encoded = io.BytesIO()
    if opaque:
        clean.save(encoded, "JPEG", quality=95, subsampling=0)
    else:
        clean.save(encoded, "PNG", compress_level=4)
    _write_whole(Path(dst), encoded.getvalue())
    kind = "image/jpeg" if opaque else "image/png"
    return ImageInfo(image.width, image.height, kind, not opaque, len(encoded.getvalue()))


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise MediaError("unreadable", f"The file {path.name} cannot be read: {error.strerror}.") from error


def _check_type(head: bytes) -> None:
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return
    found = next((name for magic, name in _OTHER_TYPES.items() if head.startswith(magic)), None)
    if head[4:8] == b"ftyp":
        found = _BOX_BRANDS.get(head[8:12], "a video")
    if found:
        raise MediaError("unsupported_type", f"This is {found} file. Use a JPEG, PNG or WebP picture.")
    raise MediaError("not_an_image", "This file is not a picture. Use a JPEG, PNG or WebP picture.")


def _check_header(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels()
    width, height = image.size
    if max(width, height) > MAX_SIDE:
        raise MediaError(
            "too_many_pixels", f"The picture is {width} x {height}. No side may have more than {MAX_SIDE:,} pixels."
        )
    if min(width, height) < MIN_SIDE:
        raise MediaError("too_small", f"The picture is {width} x {height}. Each side needs {MIN_SIDE} pixels.")
    # More pictures in one JPEG (MPO) are a phone's depth or gain map beside the photo, which comes first.
    if image.format != "MPO" and (getattr(image, "n_frames", 1) > 1 or getattr(image, "is_animated", False)):
        raise MediaError("animated", "The picture is animated. Use a still picture.")


def _too_many_pixels() -> MediaError:
    return MediaError(
        "too_many_pixels", f"The picture has more than {MAX_PIXELS // 10**6} megapixels: use a smaller one."
    )


def _upright(image: Image.Image) -> Image.Image:
    icc = image.info.get("icc_profile")
    transparency = image.info.get("transparency")
    try:
        turned = ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF says nothing about orientation: the pixels are what there is
        turned = image
    turned.info.update({k: v for k, v in (("icc_profile", icc), ("transparency", transparency)) if v is not None})
    return turned


def _to_srgb(image: Image.Image) -> Image.Image:
    if image.mode == "I;16":
        image = _from_16_bit(image)
    has_alpha = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    alpha = image.convert("RGBA").getchannel("A") if has_alpha else None
    colours = _apply_profile(image)
    if alpha is None:
        return colours
    colours.putalpha(alpha)
    return colours


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Grey of 8 bits, with alpha where one of the 65,536 values is declared see-through: of 256 it had neighbours."""
    values = np.asarray(image)
    grey = Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
    clear = image.info.get("transparency")
    if clear is not None:
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    grey.info.update({k: v for k, v in image.info.items() if k == "icc_profile"})
    return grey


def _apply_profile(image: Image.Image) -> Image.Image:
    """RGB in sRGB. A profile that is broken or belongs to another colour model is ignored, as browsers do."""
    icc = image.info.get("icc_profile")
    if image.mode in ("P", "PA", "RGBA", "RGBa", "1"):
        image = image.convert("RGBA").convert("RGB") if image.mode != "1" else image.convert("RGB")
    elif image.mode in ("LA", "La"):
        image = image.convert("L")
    if icc and image.mode in ("RGB", "L", "CMYK"):
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            srgb: Any = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, profile, srgb, ImageCms.Intent.PERCEPTUAL, "RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return image.convert("RGB")


def _choose_backdrop(rgba: np.ndarray) -> tuple[int, int, int]:
    """Light, unless the product itself is nearly white."""
    step = max(1, min(rgba.shape[:2]) // 512)
    few = rgba[::step, ::step].astype(np.float32)
    luma = few[..., :3] @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    weight = few[..., 3]
    return _DARK_BACKDROP if float((luma * weight).sum() / max(weight.sum(), 1.0)) > 205 else _LIGHT_BACKDROP


def _flatten(rgba: np.ndarray, backdrop: tuple[int, int, int]) -> np.ndarray:
    flat = np.empty((*rgba.shape[:2], 3), np.uint8)
    for top in range(0, len(rgba), 256):  # in strips: 16-bit copies of a 100-megapixel photo would be large
        strip = rgba[top : top + 256]
        alpha = strip[..., 3:].astype(np.uint16)
        flat[top : top + 256] = (strip[..., :3] * alpha + np.array(backdrop, np.uint16) * (255 - alpha) + 127) // 255
    return flat


def _write_whole(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink()
        raise disk_error(error) from error


def disk_error(error: OSError) -> Exception:
    """MediaError("disk_full") when that is what `error` says, else `error` itself."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return MediaError("disk_full", "The disk is full: the file could not be written. Free some space and retry.")
    return error
