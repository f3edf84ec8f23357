"""Collages: what is cut out lies where it was put, the mask is of it alone, and folders without use are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from datapipe.worlds import collage
from datapipe.worlds.collage import Album, digest_of, draw_collage, open_album
from datapipe.worlds.drawing import Grid
from datapipe.worlds.snapshots import LEAST, MOST
from trainer.nano import run_nano
from trainer.photos import PhotosConfig, build_photos, open_photos
from trainer.recipes.nano import nano_smoke
from trainer.settings import names_for_places, without_places

SIDE = 96


def thing(width: int = 120, height: int = 80) -> np.ndarray:
    """A red ellipse with a green left end; what its alpha hides is white."""
    rgba = np.full((height, width, 4), 255, np.uint8)
    rgba[..., 3] = 0
    cv2.ellipse(rgba, (width // 2, height // 2), (width // 2 - 4, height // 2 - 4), 0, 0, 360, (255, 0, 0, 255), -1)
    rgba[:, : width // 4, :3] = (0, 255, 0)
    return rgba


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Cut-outs (one of them in a folder of its own, one too small, one opaque) and places."""
    cutouts, grounds = tmp_path / "cutouts", tmp_path / "grounds"
    (cutouts / "more").mkdir(parents=True)
    grounds.mkdir()
    Image.fromarray(thing()).save(cutouts / "a.png")
    Image.fromarray(thing(60, 90)).save(cutouts / "more" / "b.png")
    Image.fromarray(thing(30, 20)).save(cutouts / "small.png")
    Image.fromarray(np.full((90, 90, 3), 9, np.uint8)).save(cutouts / "opaque.png")
    noise = np.random.default_rng(0).integers(0, 90, (60, 100, 3), np.uint8)
    Image.fromarray(noise).save(grounds / "noise.png")
    return cutouts, grounds


@pytest.fixture
def album(folders: tuple[Path, Path]) -> Album:
    return open_album(*folders)


def test_an_album_has_what_is_cut_out_and_large_enough(album: Album) -> None:
    assert [x.shape for x in album.things] == [(73, 113, 4), (83, 53, 4)], "cropped to what is seen"
    assert len(album.places) == 1


def test_same_seed_same_bytes(album: Album) -> None:
    first = [draw_collage(seed, SIDE, album) for seed in range(12)]
    assert draw_collage(5, SIDE, album).tobytes() == first[5].tobytes()
    assert len({picture.tobytes() for picture in first}) == 12
    shares = np.array([picture[..., 3].mean() / 255 for picture in first])
    assert (shares > LEAST / 4).all() and (shares < MOST + 0.1).all()


def test_a_thing_lies_where_it_was_put_at_its_size_and_its_edge_has_its_own_colour() -> None:
    grid = Grid(-1, -1, SIDE / 2, SIDE / 2, SIDE, SIDE)
    plain, alpha = collage._pasted(thing(), grid, 0.25, -0.125, 0.01, 0.0, False)
    rows, columns = np.nonzero(alpha > 127)
    assert (columns.min(), columns.max() + 1) == pytest.approx((34, 86), abs=1.5), "0.25 +- 0.56 of two units"
    assert (rows.min(), rows.max() + 1) == pytest.approx((25, 59), abs=1.5)
    assert plain[42, 40].argmax() == 1 and plain[42, 80].argmax() == 0
    edge = (alpha > 20) & (alpha < 235)
    assert edge.any() and plain[edge].min(-1).max() < 60, "no white from what the alpha hides"
    mirrored, _ = collage._pasted(thing(), grid, 0.25, -0.125, 0.01, 0.0, True)
    assert mirrored[42, 40].argmax() == 0 and mirrored[42, 80].argmax() == 1
    _, upright = collage._pasted(thing(), grid, 0.0, 0.0, 0.01, np.pi / 2, False)
    assert np.ptp(np.nonzero(upright > 127)[0]) > 1.4 * np.ptp(np.nonzero(upright > 127)[1])


def test_a_ground_lies_in_perspective_below_its_horizon() -> None:
    """Stripes that run away from the camera draw together towards the horizon."""
    stripes = np.where(np.arange(2 * SIDE) // 6 % 2, 255, 0).astype(np.float32)
    lying = collage._lying(np.random.default_rng(3), np.tile(stripes[None, :, None], (2 * SIDE, 1, 3)), SIDE / 4)
    assert lying.shape == (SIDE, SIDE, 3) and lying.dtype == np.float32

    def crossings(row: int) -> int:
        return int((np.diff(lying[row, :, 0] > 127) != 0).sum())

    assert crossings(SIDE // 2) > crossings(SIDE - 2) > 2


def test_of_the_photographed_grounds_some_lie_before_a_wall(folders: tuple[Path, Path]) -> None:
    cutouts, grounds = folders
    (grounds / "noise.png").unlink()
    Image.fromarray(np.full((60, 60, 3), 40, np.uint8)).save(grounds / "dark.png")
    Image.fromarray(np.full((60, 60, 3), 200, np.uint8)).save(grounds / "light.png")
    album = open_album(cutouts, grounds)
    drawn = [collage._photographed_ground(np.random.default_rng(seed), album, 1.0, SIDE) for seed in range(40)]
    two = [picture for picture in drawn if np.ptp(picture[:, SIDE // 2, 0]) > 60]
    assert 4 <= len(two) <= 20, "two of five lie, and of half of them the two pictures are not the same"
    assert sum(not np.ptp(picture, axis=(0, 1)).any() for picture in drawn) >= 12, "the others are a wall alone"


def test_a_board_lies_under_the_foot_and_reaches_beyond_it(folders: tuple[Path, Path]) -> None:
    cutouts, grounds = folders
    (grounds / "noise.png").unlink()
    Image.fromarray(np.full((60, 60, 3), 200, np.uint8)).save(grounds / "light.png")
    album, grid = open_album(cutouts, grounds), Grid(-1, -1, SIDE / 2, SIDE / 2, SIDE, SIDE)
    empty = np.full((SIDE, SIDE, 3), 20, np.float32)
    for seed in range(8):
        board = (
            collage._on_a_board(np.random.default_rng(seed), empty, (-0.4, -0.5, 0.4, 0.4), album, grid)[..., 0] > 90
        )
        rows, columns = np.nonzero(board)
        assert rows.min() > 0.45 * SIDE and rows.max() > 0.7 * SIDE, "the foot is at 0.7 of the height"
        assert np.ptp(columns) > 0.4 * SIDE, "the subject is 0.4 of the width"


def test_the_mask_is_of_the_subject(album: Album, monkeypatch: pytest.MonkeyPatch) -> None:
    """With real things alone and no photographic changes, the masked pixels are those of the cut-out's colours."""
    monkeypatch.setattr(collage, "REAL_SUBJECT", 1.0)
    monkeypatch.setattr(collage, "REAL_GROUND", 1.0)
    monkeypatch.setattr(collage, "photographed", lambda rng, picture: np.clip(picture, 0, 255).astype(np.uint8))
    for name in ("company", "_real_company"):
        monkeypatch.setattr(collage, name, lambda rng, picture, *others: picture)
    monkeypatch.setattr(collage, "covered", lambda rng, picture, alpha, grid, light: (picture, alpha))
    for seed in range(8):
        picture = draw_collage(seed, SIDE, album)
        vivid = np.ptp(picture[..., :3].astype(int), axis=-1) > 70  # the ground is noise below 90, darkened
        inside = cv2.erode((picture[..., 3] > 250).astype(np.uint8), np.ones((3, 3))) > 0
        outside = picture[..., 3] == 0
        assert vivid[inside].mean() > 0.9
        assert vivid[outside].mean() < 0.2


def test_company_has_no_dark_rim() -> None:
    white = np.full((60, 60, 4), 255, np.uint8)
    white[..., 3] = 0
    cv2.circle(white, (30, 30), 26, (255, 255, 255, 255), -1)
    grid = Grid(-1, -1, SIDE / 2, SIDE / 2, SIDE, SIDE)
    album, ground = Album((white,), ()), np.full((SIDE, SIDE, 3), 255, np.float32)
    for seed in range(6):
        picture = collage._real_company(np.random.default_rng(seed), ground, (-0.5, -0.5, 0.5, 0.5), album, grid)
        assert picture.min() > 253, "white on white stays white"


def test_pictures_of_no_use_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    cutouts, grounds = folders
    with pytest.raises(ValueError, match="is no folder"):
        open_album(tmp_path / "missing", grounds)
    with pytest.raises(ValueError, match="is a cut-out"):
        open_album(grounds, grounds)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no pictures"):
        open_album(cutouts, tmp_path / "empty")
    with pytest.raises(ValueError, match="at least 32"):
        draw_collage(0, 31, open_album(cutouts, grounds))


def test_a_set_of_photographs_knows_its_pictures(folders: tuple[Path, Path], tmp_path: Path) -> None:
    cutouts, grounds = folders
    config = PhotosConfig(count=4, snapshots=0.0, collages=1.0, cutouts=str(cutouts), grounds=str(grounds), processes=1)
    assert build_photos(tmp_path / "photos", config)
    photos = open_photos(tmp_path / "photos", config)
    assert photos[2].tobytes() == draw_collage(config.seed + 2, photos.shape[1], open_album(cutouts, grounds)).tobytes()
    before = digest_of(cutouts)
    (cutouts / "a.png").rename(cutouts / "c.png")
    assert digest_of(cutouts) != before
    with pytest.raises(ValueError, match="cutouts is"):
        open_photos(tmp_path / "photos", config)
    with pytest.raises(ValueError, match=r"set photos\.cutouts"):
        build_photos(tmp_path / "photos", replace(config, grounds=""))
    with pytest.raises(ValueError, match="together at most 1"):
        build_photos(tmp_path / "photos", replace(config, snapshots=0.5))
    assert PhotosConfig(snapshots=0.5).described == {"count": 6000, "seed": 500_000_000, "snapshots": 0.5}


def test_pictures_that_are_refused_leave_the_folder_unclaimed(folders: tuple[Path, Path], tmp_path: Path) -> None:
    cutouts, grounds = folders
    opaque = PhotosConfig(count=4, snapshots=0.0, collages=1.0, cutouts=str(grounds), grounds=str(grounds), processes=1)
    config = replace(opaque, cutouts=str(cutouts))
    (cutouts / "torn.png").write_bytes((cutouts / "a.png").read_bytes()[:200])
    for wrong, says in ((opaque, "is a cut-out"), (config, r"torn\.png cannot be read as a picture: take it out")):
        with pytest.raises(ValueError, match=says):
            build_photos(tmp_path / "photos", wrong)
        with pytest.raises(ValueError, match=says):
            run_nano(replace(nano_smoke(), photos=wrong), tmp_path / "run", ("bank",))
        assert not (tmp_path / "photos").exists() and not (tmp_path / "run").exists()
    (cutouts / "torn.png").unlink()
    assert build_photos(tmp_path / "photos", config)


def test_pictures_without_a_share_of_collages_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for unused in (PhotosConfig(cutouts=str(folders[0])), PhotosConfig(grounds=str(folders[1]))):
        with pytest.raises(ValueError, match=r"set photos\.collages to their share too"):
            build_photos(tmp_path / "photos", unused)
    assert not (tmp_path / "photos").exists()


def test_what_is_kept_of_a_run_names_no_folder_of_the_machine() -> None:
    config = {"base": "/a/b", "seed": 1, "photos": {"cutouts": "/a/things", "grounds": "", "count": 2}}
    told = {"base": "b", "seed": 1, "photos": {"cutouts": "things", "grounds": "", "count": 2}}
    assert names_for_places(config) == told
    assert without_places("photos.cutouts=/a/things") == "photos.cutouts=things"
    assert without_places("mask.steps=5") == "mask.steps=5"
