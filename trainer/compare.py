"""Two runs side by side: their losses stage by stage, the first step at which they differ, and a plot."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw
from rich.table import Table

from trainer.log import HELD_OUT, STEPS, Log

SHOWN = 12  # rows of a table
WIDTH, HEIGHT, EDGE = 640, 360, 40  # pixels of one stage's plot
DOT = 4  # its radius
COLOURS = ("#1f5fd0", "#d0591f")


@dataclass(frozen=True)
class Compared:
    """The losses of one stage in both runs, by step, and their held-out errors; `of`: what these are errors of."""

    stage: str
    losses: tuple[dict[int, float], dict[int, float]]
    held_out: tuple[dict[int, float], dict[int, float]] = field(default_factory=lambda: ({}, {}))
    of: tuple[str, str] = ("", "")

    @property
    def common(self) -> list[int]:
        return sorted(set(self.losses[0]) & set(self.losses[1]))

    @property
    def first_difference(self) -> int | None:
        """The first step whose losses are not the same number; None where all are."""
        return next((step for step in self.common if self.losses[0][step] != self.losses[1][step]), None)


def compare(first: Path, second: Path) -> list[Compared]:
    """The stages that both runs have. ValueError where there is no run, or none."""
    for folder in (first, second):
        if not folder.is_dir():
            raise ValueError(f"There is no run in {folder}.")
    stages = [path.parent.name for path in sorted(first.glob("*/log.jsonl"))]
    both = [stage for stage in stages if (second / stage / "log.jsonl").exists()]
    if not both:
        raise ValueError(f"{first} and {second} have no stage in common that has logged a loss.")
    return [_compared(stage, first / stage, second / stage) for stage in both]


def _compared(stage: str, first: Path, second: Path) -> Compared:
    rows = [Log(folder / HELD_OUT).rows() for folder in (first, second)]
    errors = [{row["step"]: row["loss"] for row in some} for some in rows]
    of = [",".join(dict.fromkeys(row["of"] for row in some)) for some in rows]
    return Compared(stage, (losses(first), losses(second)), (errors[0], errors[1]), (of[0], of[1]))


def losses(stage: Path) -> dict[int, float]:
    """The loss of each step as it was, or where only means were kept, these."""
    rows = Log(stage / STEPS).rows() or Log(stage / "log.jsonl").rows()
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


def table(compared: Compared, names: tuple[str, str]) -> Table:
    """Steps that are evenly spread, and the first that differs."""
    differs = compared.first_difference
    said = f"{len(compared.common)} steps are the same" if differs is None else f"differ from step {differs}"
    made = Table("step", *names, "difference", title=f"{compared.stage}: {said}")
    _fill(made, compared.losses, compared.common, differs)
    return made


def held_out_table(compared: Compared, names: tuple[str, str]) -> Table | None:
    """The held-out errors of both; None where one has none. What cannot be compared is said."""
    steps = sorted(set(compared.held_out[0]) & set(compared.held_out[1]))
    if not steps:
        return None
    alike = compared.of[0] == compared.of[1]
    said = "on the same samples" if alike else "NOT comparable, of other samples or latents"
    made = Table("step", *names, "difference", title=f"{compared.stage}: held-out error, {said}")
    _fill(made, compared.held_out, steps)
    return made


def _fill(
    made: Table, sides: tuple[dict[int, float], dict[int, float]], steps: list[int], differs: int | None = None
) -> None:
    shown = {steps[round(i * (len(steps) - 1) / max(1, SHOWN - 1))] for i in range(SHOWN)} if steps else set()
    for step in sorted(shown | ({differs} if differs is not None else set())):
        one, two = sides[0][step], sides[1][step]
        made.add_row(str(step), f"{one:.6g}", f"{two:.6g}", f"{two - one:+.3g}")


def plot(stages: list[Compared], names: tuple[str, str], path: Path) -> None:
    """One picture of losses over steps for each stage, below one another, as PNG; held-out errors are dots."""
    whole = Image.new("RGB", (WIDTH, HEIGHT * len(stages)), "white")
    for row, compared in enumerate(stages):
        whole.paste(_picture(compared, names), (0, row * HEIGHT))
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.save(path, "PNG")


def _picture(compared: Compared, names: tuple[str, str]) -> Image.Image:
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    values = [value for side in (*compared.losses, *compared.held_out) for value in side.values()]
    last = max(step for side in compared.losses for step in side)
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    wide, tall = WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE
    draw.rectangle((EDGE, EDGE, WIDTH - EDGE, HEIGHT - EDGE), outline="#999999")

    def points(side: dict[int, float]) -> list[tuple[float, float]]:
        return [
            (EDGE + wide * step / max(1, last), HEIGHT - EDGE - tall * (value - low) / span)
            for step, value in sorted(side.items())
        ]

    for at, (name, colour) in enumerate(zip(names, COLOURS, strict=True)):
        draw.line(points(compared.losses[at]), fill=colour, width=2)
        for x, y in points(compared.held_out[at]):
            draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=colour, outline="black")
        draw.text((EDGE + at * WIDTH // 2, HEIGHT - EDGE // 2), name, fill=colour)
    dots = "; dots: held-out error" if any(compared.held_out) else ""
    draw.text((EDGE, EDGE // 3), f"{compared.stage}: loss {low:.4g} to {high:.4g}, to step {last}{dots}", fill="black")
    return picture
