"""Progress and timings of one generation, told as events while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from engine.events import Notice, Preview, Progress, Stage

OnEvent = Callable[[Progress | Preview | Notice], None]
# Share of the whole job that each stage begins at: measured on 5 s of 1080x1920 on two cores.
BEGINS: dict[Stage, float] = {"load": 0.0, "prepare": 0.0, "denoise": 0.1, "render": 0.2}


class Clock:
    """Where a generation is: enter its stages one after the other, step through each, finish. `begins` as BEGINS."""

    def __init__(self, on_event: OnEvent, begins: Mapping[Stage, float] = BEGINS) -> None:
        self.on_event, self.begins, self.started = on_event, begins, time.monotonic()
        self.entered: list[tuple[Stage, float]] = []
        self.steps = 1

    def enter(self, stage: Stage, steps: int = 1) -> None:
        self.entered.append((stage, time.monotonic()))
        self.steps = steps
        self.step(0)

    def step(self, done: int) -> None:
        stage = self.entered[-1][0]
        begin = self.begins[stage]
        end = min((later for later in self.begins.values() if later > begin), default=1.0)
        fraction = begin + (end - begin) * done / self.steps
        elapsed = time.monotonic() - self.started
        eta = elapsed * (1 - fraction) / fraction if fraction > 0.05 else None
        self.on_event(Progress(stage, done, self.steps, round(fraction, 4), None if eta is None else round(eta, 1)))

    def finish(self) -> dict[str, float]:
        """Seconds per stage, and in all."""
        now = time.monotonic()
        ends = [at for _, at in self.entered[1:]] + [now]
        timings = {stage: round(end - at, 3) for (stage, at), end in zip(self.entered, ends, strict=True)}
        return timings | {"total": round(now - self.started, 3)}
