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
        self.pace: float | None = None  # seconds for the whole of a job, by the steps of the stage that had some last

    def enter(self, stage: Stage, steps: int = 1) -> None:
        self.entered.append((stage, time.monotonic()))
        self.steps = steps
        self.step(0)

    def step(self, done: int) -> None:
        stage, entered = self.entered[-1]
        begin = self.begins[stage]
        end = min((later for later in self.begins.values() if later > begin), default=1.0)
        fraction = begin + (end - begin) * done / self.steps
        # What came before this stage says nothing of it: preparing takes as long for a short clip as for a long one.
        if done:
            self.pace = (time.monotonic() - entered) / (fraction - begin)
        eta = None if self.pace is None else round(self.pace * (1 - fraction), 1)
        self.on_event(Progress(stage, done, self.steps, round(fraction, 4), eta))

    def finish(self) -> dict[str, float]:
        """Seconds per stage, and in all."""
        now = time.monotonic()
        ends = [at for _, at in self.entered[1:]] + [now]
        timings = {stage: round(end - at, 3) for (stage, at), end in zip(self.entered, ends, strict=True)}
        return timings | {"total": round(now - self.started, 3)}
