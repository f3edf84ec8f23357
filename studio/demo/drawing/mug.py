"""A stoneware mug of coffee on a wooden table by a window."""

import numpy as np
from PIL import Image, ImageDraw

from studio.demo.drawing.lettering import linear, text
from studio.demo.drawing.render import (
    Camera,
    Scene,
    SoftBox,
    Surface,
    develop,
    normalised,
    out_of_focus,
    photograph,
    smoothstep,
    vec,
)
from studio.demo.drawing.shapes import noise, noise_table, octaves, rounded_cylinder, sampled, union

Array = np.ndarray
RADIUS, HEIGHT = 4.15, 9.2
TABLE_END = -20.0
GRAIN, SPECKS = noise_table(11), noise_table(5)
HANDLE_TURN = 0.42  # radians towards the camera
CREAM, TEAL = vec(0.80, 0.74, 0.64), vec(0.022, 0.085, 0.115)


def draw() -> Array:
    scene = Scene(
        objects=[(mug, mug_material), (coffee, coffee_material), (table, table_material)],
        boxes=[
            SoftBox(normalised(vec(-0.85, 0.55, 0.45)), (0.27, 0.36), vec(4.6, 4.8, 5.0), 0.03),
            SoftBox(normalised(vec(-0.35, 0.55, 0.98)), (0.16, 0.36), vec(3.0, 3.1, 3.2), 0.03),
            SoftBox(normalised(vec(0.9, 0.2, -0.4)), (0.3, 0.7), vec(0.8, 0.66, 0.5), 0.25),
        ],
        key_direction=normalised(vec(-0.72, 0.60, 0.20)),
        key_colour=vec(1.75, 1.55, 1.28),
        sky=vec(0.40, 0.43, 0.48),
        ground=vec(0.26, 0.19, 0.14),
        background=room,
        key_size=7.0,
        gobo=window_bars,
    )
    eye, target = vec(3.0, 17.5, 48.0), vec(0.8, 5.1, 0.0)
    shot = photograph(scene, Camera((2000, 1600), eye, target, lens=0.19))
    return develop(out_of_focus(shot, 56.0, 84.0, shot.light.shape[0] / 42))


# --- what stands there ---


def mug(p: Array) -> Array:
    outer = rounded_cylinder(p, RADIUS, 0.0, HEIGHT, 0.16)
    foot = np.hypot(p[:, 0], p[:, 2]) - RADIUS + 0.9 * np.exp(-np.maximum(p[:, 1], 0) * 1.7)
    outer = np.maximum(outer, foot * 0.8)
    inner = rounded_cylinder(p, RADIUS - 0.36, 0.7, HEIGHT + 3, 0.5)
    return smooth_cut(union(outer, handle(p), 0.55), inner, 0.16)


def handle(p: Array) -> Array:
    turn = vec(np.cos(HANDLE_TURN), 0, np.sin(HANDLE_TURN))
    side = vec(-np.sin(HANDLE_TURN), 0, np.cos(HANDLE_TURN))
    x, y, z = p @ turn - RADIUS + 0.1, p[:, 1] - HEIGHT * 0.52, p @ side
    ring = (np.hypot(x / 0.86, y) - 2.75) * 0.9
    tube = np.hypot(ring / 0.72, z / 1.05) - 0.62
    return np.maximum(tube * 0.7, -(p @ turn) + 2.2)


def smooth_cut(body: Array, tool: Array, blend: float) -> Array:
    return -union(-body, tool, blend)


def coffee(p: Array) -> Array:
    return rounded_cylinder(p, RADIUS - 0.4, 6.0, HEIGHT - 1.15, 0.02)


def table(p: Array) -> Array:
    return np.maximum(p[:, 1], TABLE_END - p[:, 2])


def mug_material(p: Array, n: Array) -> Surface:
    count = len(p)
    angle = np.arctan2(p[:, 0], p[:, 2])
    line = 3.4 + 0.35 * np.sin(angle * 2 + 0.6) + 0.5 * noise(GRAIN, angle * 3.1 + 9, np.zeros(count))
    dipped = smoothstep(0.05, -0.05, p[:, 1] - line)
    speck = (noise(SPECKS, angle * 46 + p[:, 0] * 3, p[:, 1] * 11) > 0.955) * noise(SPECKS, angle * 12, p[:, 1] * 3)
    cloud = 0.94 + 0.12 * octaves(GRAIN, angle * 2.2, p[:, 1] * 0.6, 3)
    outside = np.hypot(p[:, 0], p[:, 2]) > RADIUS - 0.2
    u, v = (angle + 0.12) / 1.5 + 0.5, (HEIGHT - 0.75 - p[:, 1]) / 4.1
    marked = (outside & (u > 0) & (u < 1) & (v > 0) & (v < 1) & (p[:, 2] > 0)).astype(np.float32)
    ink = (1 - sampled(mark(), np.clip(u, 0, 1), np.clip(v, 0, 1))[:, :1]) * marked[:, None]
    cream = CREAM * (cloud - 0.5 * speck)[:, None]
    teal = TEAL * (0.8 + 0.6 * octaves(GRAIN, angle * 5, p[:, 1] * 1.2 + 3, 4) + 1.2 * speck)[:, None]
    glazed = cream + (teal - cream) * dipped[:, None]
    glazed = glazed + (TEAL * 1.2 - glazed) * ink * 0.92
    return Surface(
        albedo=glazed.astype(np.float32),
        roughness=np.full(count, 0.1, np.float32),
        reflectance=np.full(count, 0.045, np.float32),
        see_through=np.zeros(count, np.float32),
        metal=np.zeros(count, np.float32),
    )


def coffee_material(p: Array, n: Array) -> Surface:
    count = len(p)
    radius = np.hypot(p[:, 0], p[:, 2]) / (RADIUS - 0.4)
    swirl = octaves(GRAIN, p[:, 0] * 0.8 + np.sin(p[:, 2]), p[:, 2] * 0.8, 4)
    foam = np.clip(smoothstep(0.78, 0.99, radius) + smoothstep(0.5, 0.72, swirl) * 0.4, 0, 1)[:, None]
    return Surface(
        albedo=(vec(0.035, 0.013, 0.005) + (vec(0.36, 0.19, 0.085) - 0.02) * foam).astype(np.float32),
        roughness=np.full(count, 0.05, np.float32),
        reflectance=np.full(count, 0.03, np.float32),
        see_through=np.zeros(count, np.float32),
        metal=np.zeros(count, np.float32),
    )


def table_material(p: Array, n: Array) -> Surface:
    """Oiled oak in boards that run from the camera to the window wall."""
    count = len(p)
    across, along = p[:, 0] * 0.966 + p[:, 2] * 0.259, p[:, 2] * 0.966 - p[:, 0] * 0.259
    board = np.floor((across + 4) / 12.5)
    shift = noise(GRAIN, board * 7.7, board * 3.3) * 300
    place = (across + 4) / 12.5 - board
    joint = smoothstep(0.006, 0.014, np.minimum(place, 1 - place))
    bend = octaves(GRAIN, along * 0.03 + shift, across * 0.10 + shift, 3) * 9
    rings = 0.5 + 0.5 * np.sin((across * 0.55 + bend) * 5.2)
    fibre = octaves(SPECKS, along * 0.22 + shift, across * 9.0, 4)
    pore = smoothstep(0.70, 0.80, octaves(SPECKS, along * 0.5 + shift, across * 15.0, 3))
    tone = 0.82 + 0.36 * noise(GRAIN, board * 5.1 + 2, board * 1.9)
    light, dark = vec(0.40, 0.225, 0.115), vec(0.235, 0.115, 0.052)
    mix = np.clip(0.30 + 0.42 * rings**2 * 0.8 + 0.7 * (fibre - 0.47), 0, 1)[:, None]
    wood = (light + (dark - light) * mix) * (tone * (1 - 0.35 * pore) * (0.25 + 0.75 * joint))[:, None]
    return Surface(
        albedo=wood.astype(np.float32),
        roughness=np.full(count, 0.55, np.float32),
        reflectance=(0.028 * (0.6 + 0.8 * fibre) * joint).astype(np.float32),
        see_through=np.zeros(count, np.float32),
        metal=np.zeros(count, np.float32),
    )


# --- the room ---


def room(direction: Array) -> Array:
    """A kitchen wall behind the table, a plant in a pot, a jar, a tiled edge. Only ever seen out of focus."""
    x, y = direction[:, 0], direction[:, 1]
    light = vec(0.50, 0.46, 0.41) * (0.80 - 1.6 * x + 0.9 * (y + 0.17)).clip(0.15, 1.6)[:, None]
    ahead = direction[:, 2] < 0
    leaves = [(-0.235, -0.105), (-0.195, -0.125), (-0.165, -0.10), (-0.215, -0.15), (-0.14, -0.145), (-0.255, -0.135)]
    for cx, cy in leaves:
        inside = ((x - cx) / 0.030) ** 2 + ((y - cy) / 0.019) ** 2 < 1
        shade = vec(0.085, 0.135, 0.065) * (1.0 + 14 * (x - cx) * -1 + 10 * (y - cy)).clip(0.4, 1.7)[:, None]
        light = np.where((ahead & inside)[:, None], shade, light)
    props = (
        (-0.30, -0.168, -0.235, -0.155, vec(0.46, 0.19, 0.10)),
        (-0.30, -0.140, 0.170, 0.226, vec(0.62, 0.60, 0.55)),
        (-0.148, -0.134, 0.166, 0.230, vec(0.34, 0.19, 0.09)),
        (-0.30, -0.190, 0.236, 0.275, vec(0.10, 0.15, 0.17)),
    )
    for low, high, left, right, colour in props:
        inside = ahead & (y > low) & (y < high) & (x > left) & (x < right)
        rounded = 1.15 - 0.5 * ((x - left) / (right - left))
        light = np.where(inside[:, None], colour * rounded[:, None], light)
    return np.asarray(light, np.float32)


def window_bars(p: Array) -> Array:
    """The soft shadows that a window's bars and a plant outside throw across the table."""
    x = p[:, 0] * 0.8 + p[:, 2] * 0.45 - p[:, 1] * 0.9
    bars = 1 - 0.62 * np.exp(-(((np.abs((x + 7.5) % 30 - 15)) / 1.15) ** 4))
    leaves = octaves(GRAIN, p[:, 0] * 0.13 + p[:, 1] * 0.1 + 30, p[:, 2] * 0.13 + 8, 3)
    return np.asarray(bars * (1 - 0.5 * smoothstep(0.47, 0.62, leaves)), np.float32)


_mark: list[Array] = []


def mark() -> Array:
    """What is printed on the mug, in linear light, drawn once: [H,W,3], white is bare glaze."""
    if not _mark:
        picture = Image.new("RGB", (2400, 1580), (255, 255, 255))
        pen = ImageDraw.Draw(picture)
        for row, y in enumerate((330, 420, 510)):
            wave = [(960 + x, y + 34 * np.sin(x / 480 * 4 * np.pi + row * 0.9)) for x in range(0, 481, 6)]
            pen.line(wave, fill=(0, 0, 0), width=24, joint="curve")
        text(pen, "HARBOUR", 1200, 810, 250, (0, 0, 0), spacing=44, bold=5)
        text(pen, "NORTHLIGHT STONEWARE", 1200, 1040, 88, (0, 0, 0), spacing=26, bold=1)
        _mark.append(linear(picture))
    return _mark[0]
