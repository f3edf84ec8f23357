"""An amber glass bottle with a pump and a paper label, on a soft studio sweep."""

import numpy as np
from PIL import Image, ImageDraw

from studio.demo.drawing.lettering import linear, text
from studio.demo.drawing.render import Camera, Scene, SoftBox, Surface, develop, normalised, photograph, smoothstep, vec
from studio.demo.drawing.shapes import capsule, noise_table, octaves, rounded_cylinder, sampled, union

Array = np.ndarray
RADIUS = 3.3
LABEL = (1.7, 8.3)  # from y to y
LABEL_ANGLE = 1.02  # half the label's width, radians
TURN = 0.13  # the label looks a little to the side of the camera
PAPER = noise_table(3)


def draw() -> Array:
    scene = Scene(
        objects=[(glass, glass_material), (pump, pump_material), (sweep, sweep_material)],
        boxes=[
            SoftBox(normalised(vec(-1.0, 0.34, 0.28)), (0.34, 1.1), vec(5.2, 5.0, 4.7)),
            SoftBox(normalised(vec(1.0, 0.25, 0.05)), (0.12, 0.95), vec(3.6, 3.6, 3.7)),
            SoftBox(normalised(vec(0.1, 1.0, 0.3)), (0.6, 0.4), vec(2.0, 2.0, 2.0), 0.2),
        ],
        key_direction=normalised(vec(-0.62, 0.66, 0.42)),
        key_colour=vec(1.12, 1.06, 0.98),
        sky=vec(0.62, 0.62, 0.64),
        ground=vec(0.30, 0.26, 0.23),
        background=lambda d: np.full_like(d, 0.34) * vec(1.0, 0.93, 0.86),
        key_size=5.0,
        glass=glass,
        glass_absorption=vec(0.06, 0.27, 0.78),
    )
    eye, target = vec(0.0, 10.2, 52.0), vec(0.0, 7.9, 0.0)
    return develop(photograph(scene, Camera((1600, 2000), eye, target, lens=0.205)).light)


def glass(p: Array) -> Array:
    body = rounded_cylinder(p, RADIUS, 0.0, 10.6, 0.42)
    return union(body, rounded_cylinder(p, 1.25, 9.6, 12.7, 0.1), 1.9)


def pump(p: Array) -> Array:
    collar = rounded_cylinder(p, 1.55, 12.0, 13.5, 0.12)
    stem = rounded_cylinder(p, 0.42, 13.3, 15.3, 0.05)
    head = rounded_cylinder(p, 1.12, 15.0, 15.95, 0.22)
    nozzle = capsule(p, vec(0.0, 15.55, 0.0), vec(-3.1, 15.42, 1.0), 0.36)
    tip = capsule(p, vec(-3.1, 15.42, 1.0), vec(-3.32, 14.95, 1.07), 0.31)
    spout = union(union(head, nozzle, 0.35), tip, 0.15)
    return np.minimum(np.minimum(collar, stem), spout)


def sweep(p: Array) -> Array:
    return union(p[:, 1], p[:, 2] + 34.0, 26.0)


def glass_material(p: Array, n: Array) -> Surface:
    count = len(p)
    angle = np.arctan2(p[:, 0], p[:, 2]) - TURN
    u = (angle / LABEL_ANGLE + 1) / 2
    v = (LABEL[1] - p[:, 1]) / (LABEL[1] - LABEL[0])
    paper = ((u > 0) & (u < 1) & (v > 0) & (v < 1) & (np.hypot(p[:, 0], p[:, 2]) > RADIUS - 0.2)).astype(np.float32)
    print_ = sampled(label(), np.clip(u, 0, 1), np.clip(v, 0, 1))
    fibre = 0.97 + 0.05 * octaves(PAPER, u * 420, v * 420, 3)
    amber = vec(0.05, 0.018, 0.004)
    return Surface(
        albedo=np.where(paper[:, None] > 0, print_ * fibre[:, None], amber),
        roughness=np.where(paper > 0, 0.75, 0.0).astype(np.float32),
        reflectance=np.where(paper > 0, 0.02, 0.045).astype(np.float32),
        see_through=1 - paper,
        metal=np.zeros(count, np.float32),
    )


def pump_material(p: Array, n: Array) -> Surface:
    count = len(p)
    ribs = 0.5 + 0.5 * np.cos(np.arctan2(p[:, 0], p[:, 2]) * 60)
    dark = np.where((p[:, 1] > 12.15) & (p[:, 1] < 13.35), 0.55 + 0.45 * ribs, 1.0)[:, None]
    return Surface(
        albedo=vec(0.022, 0.021, 0.021) * dark,
        roughness=np.full(count, 0.32, np.float32),
        reflectance=np.full(count, 0.05, np.float32) * dark[:, 0],
        see_through=np.zeros(count, np.float32),
        metal=np.zeros(count, np.float32),
    )


def sweep_material(p: Array, n: Array) -> Surface:
    count = len(p)
    halo = np.exp(-((p[:, 0] - 3) ** 2 + (p[:, 1] - 15) ** 2) / 700.0) * smoothstep(-6, -30, p[:, 2])
    base = vec(0.70, 0.55, 0.45) * (0.80 + 0.42 * halo)[:, None]
    return Surface(
        albedo=base,
        roughness=np.ones(count, np.float32),
        reflectance=np.zeros(count, np.float32),
        see_through=np.zeros(count, np.float32),
        metal=np.zeros(count, np.float32),
    )


_label: list[Array] = []


def label() -> Array:
    """The printed label in linear light, drawn once: [H,W,3]."""
    if not _label:
        picture = Image.new("RGB", (2200, 2160), (243, 238, 228))
        pen = ImageDraw.Draw(picture)
        ink = (46, 34, 28)
        middle = 1100
        pen.rectangle((90, 90, 2110, 2070), outline=ink, width=5)
        leaf(pen, middle, 400, ink)
        text(pen, "NORTHLIGHT", middle, 690, 96, ink, spacing=34)
        pen.line((middle - 330, 820, middle + 330, 820), fill=(160, 96, 48), width=6)
        text(pen, "Fig & Cedar", middle, 1080, 290, ink, bold=4)
        text(pen, "hand wash", middle, 1350, 200, ink)
        text(pen, "FIG LEAF   ·   CEDAR WOOD   ·   ALOE", middle, 1660, 66, ink, spacing=10)
        text(pen, "300 ml  e  10.1 fl oz", middle, 1910, 76, ink, spacing=6)
        _label.append(linear(picture))
    return _label[0]


def leaf(pen: ImageDraw.ImageDraw, x: int, y: int, ink: tuple[int, int, int]) -> None:
    """A mark of three pointed leaves."""
    for lean in (-0.62, 0.0, 0.62):
        share = np.linspace(0, 1, 60)
        width = np.sin(share * np.pi) ** 1.2 * 58
        for side in (-1, 1):
            px, py = side * width, -share * 250
            points = [
                (x + a * np.cos(lean) - b * np.sin(lean), y + 150 + a * np.sin(lean) + b * np.cos(lean))
                for a, b in zip(px, py, strict=True)
            ]
            pen.line(points, fill=ink, width=9, joint="curve")
        tip = (x + 215 * np.sin(lean), y + 150 - 215 * np.cos(lean))
        pen.line(((x, y + 150), tip), fill=(160, 96, 48), width=6)
