"""What goes along with the product: its shadow, the ground under it, what the mask missed of it; and nothing else."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from engine.media import plate
from engine.media.asked_camera import Asked, Depths, as_asked
from engine.media.compose import Compositor
from engine.media.fields import MotionFields
from engine.media.framing import Background, plan_framing
from engine.media.glue import goes_along
from engine.media.layers import Layers, build_layers, shrink
from engine.media.photo import Photo
from engine.media.pinhole import Pinhole
from engine.media.plate import continue_texture
from tests.engine.media.pictures import camera

WIDTH, HEIGHT = SIZE = (270, 480)
GRID = (40, 24)
LEFT, RIGHT, TOP, FOOT = 90, 180, 150, 330
ALL_MOVES = ["pan-left", "tilt-up", "dolly-in", "dolly-out", "roll-left", "orbit-left"]


def wall(plain: bool = False) -> np.ndarray:
    """Of plaster, or white paper."""
    if plain:
        return np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    rng = np.random.default_rng(0)
    coarse = rng.normal(0, 12, (HEIGHT // 12, WIDTH // 12)).astype(np.float32)
    grain = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)
    return np.clip(150 + grain[..., None].repeat(3, -1), 0, 255).astype(np.uint8)


def shaded(rgb: np.ndarray, right: int = 0, down: int = 10) -> np.ndarray:
    """With the soft shadow of the product, so many pixels aside and down."""
    dark = np.zeros((HEIGHT, WIDTH), np.float32)
    dark[(TOP if right else FOOT - 8) + down : FOOT + down, LEFT + right : RIGHT + right] = 0.6
    return np.rint(rgb * (1 - cv2.GaussianBlur(dark, (0, 0), 4)[..., None])).astype(np.uint8)


def standing(rgb: np.ndarray, background: Background = "scene", colour: tuple[int, int, int] = (200, 40, 50)) -> Layers:
    rgb, mask = rgb.copy(), np.zeros((HEIGHT, WIDTH), np.uint8)
    rgb[TOP:FOOT, LEFT:RIGHT], mask[TOP:FOOT, LEFT:RIGHT] = colour, 255
    return layers_of(rgb, mask, background)


def layers_of(rgb: np.ndarray, mask: np.ndarray, background: Background = "scene") -> Layers:
    photo = Photo(rgb)
    framing = plan_framing(photo.size, mask, "9:16", camera(), background=background)
    framing = replace(framing, window=(0, 0, WIDTH, HEIGHT), canvas=(0, 0, WIDTH, HEIGHT))
    return build_layers(photo, mask, framing, SIZE)


def at(values_hw: np.ndarray, x: int, y: int) -> np.ndarray:
    """What the fields say at a pixel."""
    return values_hw[..., y * GRID[0] // HEIGHT, x * GRID[1] // WIDTH]


def far(nearness: float = 0.4) -> np.ndarray:
    return np.full(GRID, nearness)


def apart(move: str, nearness_hw: np.ndarray, along_hw: np.ndarray | None) -> np.ndarray:
    """Pixels of a film of 540 between product and scene at the end, by where it was in the photo [h, w]."""
    seen = Pinhole.over(move, 9 / 16, GRID, ((LEFT + RIGHT) / 2 / WIDTH, (TOP + FOOT) / 2 / HEIGHT))
    full, cell = np.ones(1), np.array([1.5, 8 / 3]) / GRID[::-1]
    product, scene = seen.product_flow(full)[0], seen.scene_flow(full, nearness_hw, along_hw)[0]
    y, x = np.mgrid[0 : GRID[0], 0 : GRID[1]].astype(np.float32)

    def there(values: np.ndarray, place: np.ndarray) -> np.ndarray:
        return cv2.remap(values.astype(np.float32), place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    now = start = np.stack([x, y], -1)
    for _ in range(20):
        now = (start - there(product / cell, now)).astype(np.float32)
    return np.asarray(np.linalg.norm(there(scene - product, now), axis=-1) / 1.5 * 540)


@pytest.mark.parametrize("move", ALL_MOVES)
def test_on_a_plain_backdrop_all_goes_along(move: str) -> None:
    """It shows no depth, and the shadow stays at the foot. The control is the depth it is said to have."""
    along = goes_along(standing(shaded(wall(plain=True)), "plain"), far())
    assert apart(move, far(), along).max() < 0.01
    if not move.startswith("roll"):  # which shows no depth
        assert apart(move, far(), None).max() > 5


def test_a_sweep_without_an_edge_is_such_a_backdrop() -> None:
    """One that is too uneven to be continued, but on which nothing is to be seen."""
    y = np.linspace(0, 1, HEIGHT)[:, None, None]
    sweep = np.broadcast_to(200 + 30 * np.sin(3 * y), (HEIGHT, WIDTH, 3)).astype(np.uint8)
    assert goes_along(standing(shaded(sweep)), far()).min() > 0.99
    assert goes_along(standing(shaded(wall())), far()).min() < 0.01


def test_a_contact_shadow_goes_along() -> None:
    with_shadow, without = (goes_along(standing(rgb), far()) for rgb in (shaded(wall()), wall()))
    x, y = (LEFT + RIGHT) // 2, FOOT + 2
    assert at(apart("pan-left", far(), with_shadow), x, y) < 1.5
    assert at(apart("pan-left", far(), None), x, y) > 8
    assert at(without, x, y) < 0.4 < 0.95 < at(with_shadow, x, y)


def test_a_clear_edge_keeps_its_parallax() -> None:
    along = goes_along(standing(shaded(wall())), far())
    for x, y in ((LEFT - 4, 210), (RIGHT + 4, 210), (LEFT - 4, TOP + 10), (135, TOP - 6), (20, 20)):
        assert at(along, x, y) < 0.05, (x, y)


def test_no_hole_opens_under_the_foot() -> None:
    """The floor is said to be a little nearer than what stands on it: it would run away from it."""
    rows = np.arange(GRID[0])[:, None] * HEIGHT / GRID[0]
    floor = np.broadcast_to(np.where(rows > 250, 1.06 + (rows - FOOT) / 400, 0.5), GRID)
    along = goes_along(standing(wall()), floor)
    x, y = (LEFT + RIGHT) // 2, FOOT + 2
    assert at(apart("dolly-in", floor, along), x, y) < 0.7 < 1.8 < at(apart("dolly-in", floor, None), x, y)


def test_what_the_mask_missed_is_not_torn_off() -> None:
    """The mask ends in the middle of a leg with a grain. The control is one that ends with the leg."""
    rgb, mask = wall(), np.zeros((HEIGHT, WIDTH), np.uint8)
    leg = np.s_[120:360, 120:150]
    rgb[leg] = (70, 40, 30)
    rgb[120:360:8, 120:150] = rgb[121:360:8, 120:150] = (100, 60, 45)
    mask[120:240, 120:150] = 255
    along, none = goes_along(layers_of(rgb, mask), far()), None
    assert at(along, 135, 242) > 0.8
    assert at(apart("pan-left", far(), along), 135, 242) < 4 < 10 < at(apart("pan-left", far(), none), 135, 242)
    assert at(along, 114, 180) < 0.1
    rgb[240:360] = wall()[240:360]
    assert at(goes_along(layers_of(rgb, mask), far()), 135, 242) < 0.2


def test_what_lies_on_a_table_lies_in_its_plane() -> None:
    """Its shadow is below it and beside it; that of what stands is below it."""
    lying, stands = (goes_along(standing(shaded(wall(), right)), far()) for right in (10, 0))
    assert lying.min() > 0.99
    assert stands.min() < 0.01


def test_a_wire_has_edges_though_the_same_is_on_both_sides_of_it() -> None:
    rgb, mask = wall(), np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[HEIGHT // 4 : 3 * HEIGHT // 4, WIDTH // 2 : WIDTH // 2 + 2] = 255
    rgb[mask > 0] = (10, 10, 10)
    assert goes_along(layers_of(rgb, mask), far()).max() < 0.3


def test_a_net_has_more_outline_than_is_looked_up_at_once() -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[::4], mask[1::4], mask[:, ::4], mask[:, 1::4] = 255, 255, 255, 255
    along = goes_along(layers_of(wall(), mask), far())
    assert along.shape == GRID and np.isfinite(along).all()


def test_the_camera_is_found_as_before() -> None:
    """Only what is shown of the scene changes: neither how far the move goes nor what the product does."""
    aspect, mask = 9 / 16, np.zeros((80, 48), np.float32)
    mask[40:70, 14:30] = 1
    seen = Pinhole.over("orbit-left", aspect, GRID, (22 / 48, 55 / 80))
    sizes, frame = np.linspace(0, 0.8, 17), np.array([1.5, 8 / 3])
    scene = seen.scene_flow(sizes, far()) / frame
    scene[0] = 0
    fields = MotionFields(scene, np.zeros_like(scene), np.zeros((17, *GRID)), np.zeros((*GRID, 3)))
    wish = Asked("orbit-left", 0.8, "auto", 0.5)
    apart_, together = (
        as_asked(fields, mask, Depths(far(), 0.5, along=along), wish, aspect) for along in (None, np.ones(GRID))
    )
    assert np.array_equal(apart_.product_flow, together.product_flow)
    assert np.abs(apart_.scene_flow).max() > 0.03
    assert np.abs(together.scene_flow).max() < 1e-6  # an orbit carries it around with the product


def test_white_stays_white_behind_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plate that saw the product through its outline is not asked, however good it is at the shadow around. The
    control is a scene, where such a plate is believed.
    """
    monkeypatch.setattr(plate, "_trust", lambda told, smooth, known: np.ones_like(known))
    layers = standing(shaded(wall(plain=True), down=40), "plain", (20, 60, 160))
    seen = layers.window_photo().astype(np.float32)
    seen[TOP + 10 : FOOT - 10, LEFT + 10 : RIGHT - 10] = (120, 150, 220)
    still = MotionFields.still(cv2.resize(seen, (54, 96), interpolation=cv2.INTER_AREA) / 255)
    flow = still.product_flow.copy()
    flow[1:, ..., 0] = 0.5  # out of the way
    fields = replace(still, product_flow=flow)
    behind = np.s_[TOP + 5 : FOOT - 45, LEFT + 5 : RIGHT - 5]
    for shown in (layers, shrink(layers, 200)):
        scale = min(shown.size) / WIDTH
        rows, columns = (slice(round(part.start * scale), round(part.stop * scale)) for part in behind)
        assert Compositor(shown, fields).frame(1.0)[rows, columns].min() >= 253
    assert Compositor(replace(layers, plain=False), fields).frame(1.0)[behind].min() < 250


def test_no_shadow_is_mirrored_up_into_the_white() -> None:
    hole = np.zeros((HEIGHT, WIDTH), bool)
    hole[TOP:FOOT, 30:240] = True
    dark = np.zeros((HEIGHT, WIDTH), np.float32)
    dark[FOOT : FOOT + 50, 20:250] = 0.3
    image = np.rint(wall(plain=True) * (1 - cv2.GaussianBlur(dark, (0, 0), 6)[..., None])).astype(np.uint8)
    plain, as_a_scene = (continue_texture(image, hole, plain=is_plain)[0][..., 0] for is_plain in (True, False))
    middle = np.s_[FOOT - 60 : FOOT - 38, 60:210]
    assert plain[middle].min() >= 253
    assert as_a_scene[middle].min() < 245


def test_the_shadow_goes_on_under_a_product_that_moves_away() -> None:
    """Cut off at the outline, it would leave a white print. What is narrow is the product's rim and goes on nowhere."""
    hole = np.zeros((HEIGHT, WIDTH), bool)
    hole[TOP:FOOT, LEFT:RIGHT] = True
    image = shaded(wall(plain=True))
    image[hole] = 0
    filled = continue_texture(image, hole, plain=True)[0][..., 0].astype(int)
    inside, outside = filled[FOOT - 4, 135], filled[FOOT + 4, 135]
    assert outside < 200
    assert abs(inside - outside) < 40
    assert filled[FOOT - 50, 135] >= 253
    rim = wall(plain=True)
    rim[FOOT : FOOT + 2, LEFT:RIGHT] = 40
    assert continue_texture(rim, hole, plain=True)[0][FOOT - 8, 135, 0] > 225
