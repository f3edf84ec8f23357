"""The report's plots as inline SVG: no script, no file beside it, sharp at any width."""

from __future__ import annotations

from html import escape

import numpy as np

from trainer.evaluate.cases import EXACT, HOMOGRAPHY, MEAN, NONE, OURS, SHUFFLED, STILL
from trainer.evaluate.figures import Figure
from trainer.evaluate.flow_loss import TIMES

COLOURS = {
    OURS: "#1d4ed8",
    STILL: "#6b7280",
    HOMOGRAPHY: "#c2570c",
    SHUFFLED: "#7c3aed",
    NONE: "#be185d",
    MEAN: "#a16207",
    EXACT: "#15803d",
}
_WIDE = 20  # times the least value: then a line is logarithmic
_SHAPES = {
    STILL: "M-5,-5H5V5H-5Z",
    HOMOGRAPHY: "M0,-7L7,0L0,7L-7,0Z",
    SHUFFLED: "M0,-7L7,6H-7Z",
    NONE: "M-6,-5H6L0,6Z",
    MEAN: "M-5,-5L5,5M5,-5L-5,5",
    EXACT: "M0,-10V10",
    OURS: "M0,0m-7,0a7,7 0 1,0 14,0a7,7 0 1,0 -14,0",
}


def mark(kind: str, x: float, y: float) -> str:
    """The sign of a kind of film, the same in every plot and in the legend."""
    colour = COLOURS[kind]
    fill = colour if kind == OURS else "none"
    title = f"<title>{escape(kind)}</title>"
    return (
        f'<path d="{_SHAPES[kind]}" transform="translate({x:.1f} {y:.1f})" fill="{fill}" stroke="{colour}" '
        f'stroke-width="2.2">{title}</path>'
    )


def legend_mark(kind: str) -> str:
    return f'<svg viewBox="-11 -11 22 22" width="20" height="20" aria-hidden="true">{mark(kind, 0, 0)}</svg>'


def strip(figure: Figure) -> str:
    """Ours with its interval and every baseline on one line; better is to the right."""
    known = {kind: value for kind, value in figure.values.items() if value is not None and kind in COLOURS}
    ends = [value for value in (figure.low, figure.high) if value is not None]
    every = [*known.values(), *ends]
    width, height = 420.0, 40.0
    is_wide = min(every) > 0 and max(every) > _WIDE * min(every)

    def worth(value: float) -> float:
        if figure.better == "near 1":
            return -abs(float(np.log(max(value, 1e-3))))
        scaled = float(np.log(value)) if is_wide else value
        return -scaled if figure.better == "lower" else scaled

    least, most = (end(worth(value) for value in every) for end in (min, max))

    def at(value: float) -> float:
        share = 0.5 if most - least < 1e-12 else (worth(value) - least) / (most - least)
        return 16 + (width - 32) * share

    parts = [f'<line x1="6" y1="20" x2="{width - 6:.0f}" y2="20" class="axis"/>']
    if figure.low is not None and figure.high is not None:
        x1, x2 = sorted((at(figure.low), at(figure.high)))
        parts.append(
            f'<line x1="{x1:.1f}" y1="20" x2="{x2:.1f}" y2="20" stroke="{COLOURS[OURS]}" stroke-width="7" '
            f'stroke-opacity=".28" stroke-linecap="round"/>'
        )
    order = [kind for kind in known if kind != OURS] + [kind for kind in known if kind == OURS]
    parts += [mark(kind, at(known[kind]), 20) for kind in order]
    said = ", ".join(f"{kind} {value:.3g}" for kind, value in known.items())
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" class="strip" role="img" aria-label="{escape(said)}">'
        f"{''.join(parts)}</svg>"
    )


def loss_plot(losses: dict[str, np.ndarray]) -> str:
    """Flow loss over time, logarithmic; the band is the range over the draws of noise."""
    frame = _Frame((min(TIMES), max(TIMES)), _log_range(losses), "time (1 is noise)", "mean square error")
    parts = [frame.axes(TIMES, [10.0**n for n in range(-4, 5)], log=True)]
    for kind, values in sorted(losses.items(), key=lambda item: item[0] == OURS):
        middle, low, high = (np.log10(part) for part in (values.mean(0), values.min(0), values.max(0)))
        band = [*zip(TIMES, high, strict=True), *reversed(list(zip(TIMES, low, strict=True)))]
        points = " ".join(f"{frame.x(t):.1f},{frame.y(v):.1f}" for t, v in band)
        line = " ".join(f"{frame.x(t):.1f},{frame.y(v):.1f}" for t, v in zip(TIMES, middle, strict=True))
        colour = COLOURS[kind]
        parts.append(f'<polygon points="{points}" fill="{colour}" fill-opacity=".16"/>')
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2.2"/>')
        parts += [mark(kind, frame.x(t), frame.y(v)) for t, v in zip(TIMES, middle, strict=True)]
    return frame.drawn(parts, "Flow loss over time")


def strength_plot(points: list[dict[str, object]]) -> str:
    """Asked against measured strength of the camera; on the diagonal the model does what it is asked."""
    measured = [float(str(point["measured"])) for point in points]
    low, high = min([0.0, *measured]), max([1.0, *measured])
    frame = _Frame((0.0, 1.0), (low, high), "asked strength", "measured strength")
    parts = [frame.axes((0, 0.25, 0.5, 0.75, 1), [v for v in (-1, -0.5, 0, 0.5, 1, 1.5, 2) if low <= v <= high])]
    parts.append(
        f'<line x1="{frame.x(0):.1f}" y1="{frame.y(0):.1f}" x2="{frame.x(1):.1f}" y2="{frame.y(1):.1f}" '
        f'stroke="{COLOURS[EXACT]}" stroke-width="2" stroke-dasharray="5 5"/>'
    )
    for point, made in zip(points, measured, strict=True):
        x, y = frame.x(float(str(point["asked"]))), frame.y(made)
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{COLOURS[OURS]}" fill-opacity=".75">'
            f"<title>{escape(str(point['camera']))}</title></circle>"
        )
    return frame.drawn(parts, "Asked against measured strength of the camera")


def _log_range(losses: dict[str, np.ndarray]) -> tuple[float, float]:
    every = np.log10(np.concatenate([values.reshape(-1) for values in losses.values()]))
    return float(every.min()) - 0.05, float(every.max()) + 0.05


class _Frame:
    """A plot's coordinates and its axes."""

    width, height, left, bottom, top = 520.0, 340.0, 62.0, 52.0, 14.0

    def __init__(self, across: tuple[float, float], up: tuple[float, float], x_name: str, y_name: str) -> None:
        self.across, self.up, self.x_name, self.y_name = across, up, x_name, y_name

    def x(self, value: float) -> float:
        low, high = self.across
        return self.left + 14 + (self.width - self.left - 34) * (value - low) / (high - low)

    def y(self, value: float) -> float:
        low, high = self.up
        return self.height - self.bottom - (self.height - self.bottom - self.top) * (value - low) / (high - low)

    def axes(self, across: tuple[float, ...], up: list[float], *, log: bool = False) -> str:
        floor = self.height - self.bottom
        parts = [
            f'<text x="{self.x(value):.1f}" y="{floor + 20:.0f}" text-anchor="middle">{value:g}</text>'
            for value in across
        ]
        for value in up:
            place = float(np.log10(value)) if log else value
            if self.up[0] <= place <= self.up[1]:
                y = self.y(place)
                parts.append(f'<line x1="{self.left}" x2="{self.width}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
                parts.append(f'<text x="{self.left - 8:.0f}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        parts.append(f'<line x1="{self.left}" x2="{self.width}" y1="{floor}" y2="{floor}" class="axis"/>')
        middle = (self.left + self.width) / 2
        parts.append(f'<text x="{middle:.0f}" y="{self.height - 10:.0f}" text-anchor="middle">{self.x_name}</text>')
        parts.append(
            f'<text transform="translate(16 {floor / 2:.0f}) rotate(-90)" text-anchor="middle">{self.y_name}</text>'
        )
        return "".join(parts)

    def drawn(self, parts: list[str], title: str) -> str:
        size = f"0 0 {self.width:.0f} {self.height:.0f}"
        return f'<svg viewBox="{size}" class="plot" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
