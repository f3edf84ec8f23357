"""The time left that a generation tells: by its own pace, whatever the photo's preparation took."""

import pytest

from engine import clock
from engine.clock import Clock
from engine.events import Progress


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    at = [0.0]
    monkeypatch.setattr(clock.time, "monotonic", lambda: at[0])
    return at


def told(now: list[float], *, prepare: float, denoise: float, render: float) -> list[Progress]:
    """What a clip of 4 steps and 80 frames tells whose stages take so many seconds."""
    heard: list[Progress] = []
    watch = Clock(heard.append)
    watch.enter("prepare")
    now[0] += prepare
    for stage, seconds, steps in (("denoise", denoise, 4), ("render", render, 80)):
        watch.enter(stage, steps)
        for done in range(1, steps + 1):
            now[0] += seconds / steps
            watch.step(done)
    return heard


def test_a_slow_preparation_says_nothing_of_what_follows(now: list[float]) -> None:
    heard = told(now, prepare=30, denoise=2, render=30)
    assert [event.eta_seconds for event in heard if event.step == 0][:2] == [None, None]
    first = next(event for event in heard if event.step == 1)
    assert first.stage == "denoise" and first.eta_seconds < 40  # 31.5 s are left; by all that elapsed, 217


@pytest.mark.parametrize("prepare", [0, 30, 300])
def test_the_time_left_of_the_render_is_its_own(now: list[float], prepare: float) -> None:
    frames = [event for event in told(now, prepare=prepare, denoise=2, render=40) if event.stage == "render"]
    for event in frames[1:]:
        assert event.eta_seconds == pytest.approx(40 * (1 - event.step / 80), abs=0.06)
    assert frames[0].eta_seconds is not None
