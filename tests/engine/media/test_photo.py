"""Photos from strangers: what opens looks right, what cannot be used is refused by name."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from engine.media.errors import MediaError
from engine.media.masks import open_mask
from engine.media.photo import clean_image, open_photo
from tests.engine.media.pictures import make_shot

RED = (200, 40, 30)


@pytest.fixture
def save(tmp_path: Path):
    def write(data: bytes, name: str = "photo") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def profile_of_linear_grey() -> bytes:
    """An ICC profile of version 2: a header, a white point and a curve of no points, which is none."""
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)  # D50
    curve = b"curv" + bytes(8)
    first = 128 + 4 + 2 * 12
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", first, 20, b"kTRC", first + 20, 12)
    header = bytearray(128)
    struct.pack_into(">I4xI4s4s4s", header, 0, first + 32, 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    header[36:40] = b"acsp"
    struct.pack_into(">3i", header, 68, 63190, 65536, 54061)
    return bytes(header) + tags + white + curve


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def solid(mode: str = "RGB", size: tuple[int, int] = (64, 48), colour: object = RED) -> Image.Image:
    return Image.new(mode, size, colour)


def animated(format: str) -> bytes:
    frames = [solid(colour=(shade, 0, 0)) for shade in (10, 200)]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100)


REFUSED = {
    "text": (b"Hello, I am a text.", "not_an_image"),
    "nothing": (b"", "not_an_image"),
    "gif": (encoded(solid("P", colour=3), "GIF"), "unsupported_type"),
    "bmp": (encoded(solid(), "BMP"), "unsupported_type"),
    "tiff": (encoded(solid(), "TIFF"), "unsupported_type"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(40), "unsupported_type"),
    "half a jpeg": (encoded(Image.fromarray(make_shot().photo.rgb), "JPEG")[:9000], "truncated"),
    "half a png": (encoded(Image.fromarray(make_shot().photo.rgb), "PNG")[:20000], "truncated"),
    "half a webp": (encoded(Image.fromarray(make_shot().photo.rgb), "WEBP")[:3000], "truncated"),
    "only a signature": (b"\x89PNG\r\n\x1a\n", "truncated"),
    "bomb": (png_claiming(60000, 60000), "too_many_pixels"),
    "101 megapixels": (png_claiming(10100, 10000), "too_many_pixels"),
    "a long ribbon": (encoded(solid(size=(65_501, 16)), "PNG"), "too_many_pixels"),
    "one pixel": (encoded(solid(size=(1, 1)), "PNG"), "too_small"),
    "thin": (encoded(solid(size=(400, 8)), "PNG"), "too_small"),
    "animated webp": (animated("WEBP"), "animated"),
    "animated png": (animated("PNG"), "animated"),
    "all transparent": (encoded(solid("RGBA", colour=(9, 9, 9, 0)), "PNG"), "empty"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_by_code_and_sentence(save, name: str) -> None:
    data, code = REFUSED[name]

    with pytest.raises(MediaError) as refusal:
        open_photo(save(data, "photo.jpg"))

    assert refusal.value.code == code
    assert str(refusal.value).endswith(".") and "Traceback" not in str(refusal.value)


def test_a_bomb_is_refused_before_its_pixels_are_decoded(save) -> None:
    below_the_cap = png_claiming(9900, 10000)  # same file, decoded: runs into its missing pixels

    with pytest.raises(MediaError) as refusal:
        open_photo(save(below_the_cap))

    assert refusal.value.code == "truncated"


OPENED = {
    "jpeg": encoded(solid(), "JPEG"),
    "png": encoded(solid(), "PNG"),
    "webp": encoded(solid(), "WEBP", lossless=True),
    "cmyk": encoded(solid().convert("CMYK"), "JPEG"),
    "palette": encoded(solid().quantize(8), "PNG"),
}


@pytest.mark.parametrize("name", OPENED)
def test_formats_and_colour_models_open_as_rgb(save, name: str) -> None:
    photo = open_photo(save(OPENED[name], "wrong-extension.txt"))

    assert photo.size == (64, 48) and photo.alpha is None
    assert np.abs(photo.rgb.astype(int) - RED).max() < 12


def test_of_a_phones_several_pictures_the_first_is_the_photo(save) -> None:
    gain_map = solid("L", (32, 24), 128)
    data = encoded(solid(), "MPO", save_all=True, append_images=[gain_map])
    assert Image.open(io.BytesIO(data)).n_frames == 2

    photo = open_photo(save(data))

    assert photo.size == (64, 48) and np.abs(photo.rgb.astype(int) - RED).max() < 12


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"The file gone.jpg cannot be read: No such file or directory\.") as refusal:
        open_photo(tmp_path / "gone.jpg")
    assert refusal.value.code == "unreadable"
    with pytest.raises(MediaError, match="cannot be read"):
        open_photo(tmp_path)


def test_sixteen_bits_are_scaled_not_clipped(save) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)

    photo = open_photo(save(encoded(Image.fromarray(ramp), "PNG")))

    assert np.abs(photo.rgb[..., 0].astype(int) - np.rint(ramp / 257)).max() <= 1


def test_sixteen_bits_are_so_however_dark_they_are(save) -> None:
    dark = np.full((64, 64), 200, np.uint16)  # of 65,535: black

    assert open_photo(save(encoded(Image.fromarray(dark), "PNG"))).rgb.max() <= 1


def test_one_of_sixteen_bits_values_may_be_see_through_and_its_neighbours_are_not(save) -> None:
    ramp = np.full((64, 64), 30_001, np.uint16)
    ramp[16:48, 16:48] = 30_000

    photo = open_photo(save(encoded(Image.fromarray(ramp), "PNG", transparency=30_000)))

    assert photo.alpha is not None
    assert (photo.alpha == np.where(ramp == 30_000, 0, 255)).all()


def test_a_profile_of_sixteen_bits_is_converted(save) -> None:
    grey = np.full((64, 64), 32_768, np.uint16)
    curved = encoded(Image.fromarray(grey), "PNG", icc_profile=profile_of_linear_grey())
    turned = Image.Exif()
    turned[0x0112] = 3

    assert abs(int(open_photo(save(encoded(Image.fromarray(grey), "PNG"))).rgb[0, 0, 0]) - 128) <= 1
    assert abs(int(open_photo(save(curved)).rgb[0, 0, 0]) - 188) <= 2  # half of the light is 188 of sRGB
    both = encoded(Image.fromarray(grey), "PNG", icc_profile=profile_of_linear_grey(), transparency=1, exif=turned)
    assert abs(int(open_photo(save(both)).rgb[0, 0, 0]) - 188) <= 2


def test_exif_orientation_turns_the_picture(save) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    image = solid(size=(64, 32))
    image.paste((0, 0, 255), (0, 0, 32, 32))

    photo = open_photo(save(encoded(image, "JPEG", exif=exif, quality=95)))

    assert photo.size == (32, 64)
    assert photo.rgb[8, 16, 2] > 200 > photo.rgb[56, 16, 2]


@pytest.mark.parametrize(
    ("mode", "ground", "shape"),
    [("RGBA", (0, 0, 0, 0), (0, 0, 0, 255)), ("RGBA", (0, 0, 0, 255), (255, 255, 255, 255)), ("L", 0, 255)],
)
def test_a_mask_is_read_by_its_alpha_or_by_its_brightness(save, mode: str, ground: object, shape: object) -> None:
    picture = Image.new(mode, (64, 48), ground)
    empty = encoded(picture, "PNG")
    picture.paste(shape, (16, 8, 48, 40))
    exact = np.zeros((48, 64), np.uint8)
    exact[8:40, 16:48] = 255

    assert np.array_equal(open_mask(save(encoded(picture, "PNG"))), exact)
    assert not open_mask(save(empty)).any()


@pytest.mark.parametrize(("soft", "by_alpha"), [(1, False), (5, False), (40, True)])
def test_a_few_soft_pixels_do_not_make_a_masks_opacity_its_shape(save, soft: int, by_alpha: bool) -> None:
    """What an editor leaves where a layer was antialiased: the shape is still the white one."""
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[8:40, 16:48] = 255
    pixels[0, :soft, 3] = 254
    assert np.array_equal(open_mask(save(encoded(Image.fromarray(pixels), "PNG"))), pixels[..., 0])
    pixels[0, :soft, 3] = 0
    read = open_mask(save(encoded(Image.fromarray(pixels), "PNG")))
    assert np.array_equal(read, pixels[..., 3 if by_alpha else 0]), "the control: a part that is cut out is meant"


def test_an_empty_mask_is_no_mistake_where_an_empty_photo_is(save) -> None:
    empty = save(encoded(Image.new("RGBA", (64, 48), (255, 255, 255, 0)), "PNG"))
    assert not open_mask(empty).any()
    with pytest.raises(MediaError, match="fully transparent"):
        open_photo(empty)


def test_an_embedded_profile_is_converted_and_a_broken_one_ignored(save) -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    table = profile[:400].replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
    swapped = bytes(table + profile[400:])  # a screen whose red lamp is blue

    converted = open_photo(save(encoded(solid(), "PNG", icc_profile=swapped)))
    ignored = open_photo(save(encoded(solid(), "PNG", icc_profile=b"nonsense" * 30)))

    assert converted.rgb[0, 0, 2] > 180 > converted.rgb[0, 0, 0]
    assert tuple(ignored.rgb[0, 0]) == RED


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_transparency_becomes_alpha_over_a_backdrop(save, mode: str) -> None:
    image = solid("RGBA", colour=(0, 0, 0, 0))
    image.paste((*RED, 255), (16, 8, 48, 40))
    image = image if mode == "RGBA" else image.quantize(4)

    photo = open_photo(save(encoded(image, "PNG")))

    assert photo.alpha is not None and photo.alpha[0, 0] == 0 and photo.alpha[20, 30] == 255
    assert tuple(photo.rgb[0, 0]) == photo.backdrop and photo.rgb[0, 0].min() > 200
    assert np.abs(photo.rgb[20, 30].astype(int) - RED).max() < 6


def test_a_white_cut_out_stands_on_a_dark_backdrop(save) -> None:
    image = solid("RGBA", colour=(0, 0, 0, 0))
    image.paste((250, 250, 250, 255), (16, 8, 48, 40))

    assert open_photo(save(encoded(image, "PNG"))).rgb[0, 0].max() < 100


def test_clean_image_drops_metadata_and_keeps_the_picture(save, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "secret place", 3
    shot = make_shot()
    source = save(
        encoded(Image.fromarray(shot.photo.rgb[::-1, ::-1]), "JPEG", exif=exif, quality=98, comment=b"secret")
    )

    info = clean_image(source, tmp_path / "clean")

    data = (tmp_path / "clean").read_bytes()
    with Image.open(tmp_path / "clean") as clean:
        assert not clean.getexif()
    assert b"secret" in source.read_bytes() and b"secret" not in data
    assert (info.content_type, info.width, info.height, info.bytes) == ("image/jpeg", 420, 640, len(data))
    assert np.abs(open_photo(tmp_path / "clean").rgb.astype(int) - shot.photo.rgb).mean() < 2


def test_clean_image_keeps_alpha_as_png(save, tmp_path: Path) -> None:
    image = Image.fromarray(np.dstack([make_shot().product, make_shot().alpha]))

    info = clean_image(save(encoded(image, "WEBP", lossless=True, exact=True)), tmp_path / "clean")

    assert info.content_type == "image/png" and info.has_alpha
    with Image.open(tmp_path / "clean") as clean:
        assert (np.asarray(clean)[..., 3] == make_shot().alpha).all()


WITH_LITTLE_DISK = """
import resource, signal, sys
from engine.media.errors import MediaError
from engine.media.masks import open_mask
from engine.media.photo import clean_image
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    clean_image(sys.argv[1], sys.argv[2])
except MediaError as error:
    print(error.code)
"""


@pytest.mark.parametrize(("room", "said", "written"), [(2000, "disk_full", []), (10**7, "", ["clean"])])
def test_a_full_disk_is_said_and_leaves_nothing(save, tmp_path: Path, room: int, said: str, written: list[str]) -> None:
    source = save(encoded(Image.fromarray(make_shot().photo.rgb), "PNG"))
    out = tmp_path / "out"
    out.mkdir()

    run = subprocess.run(
        [sys.executable, "-c", WITH_LITTLE_DISK, source, out / "clean", str(room)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout.strip() == said
    assert [path.name for path in out.iterdir()] == written
