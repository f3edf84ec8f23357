"""What a member waits for in the browser while the engine is busy: the mask after an upload, and each event."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e import steps
from tests.studio.embedded.running import Studio, free_port, processes_of, wait_for

ROOT = Path(__file__).parents[3]
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
WAIT_MS, VIDEO_MS = 120_000, 900_000

# Runs in the page: when an upload was answered, when its mask was drawn, when a job was opened and each percent shown.
WATCH = """
window.seen = { uploaded: null, mask: null, opened: null, percents: [] };
const send = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function (body) {
  this.addEventListener("load", () => { window.seen.uploaded = Date.now(); });
  return send.call(this, body);
};
new MutationObserver(() => {
  const { seen } = window;
  if (seen.uploaded && !seen.mask && document.querySelector("[data-testid=mask-layer]")) seen.mask = Date.now();
  const live = document.querySelector("[data-testid=live-progress]");
  if (live && !seen.opened) seen.opened = Date.now();
  const over = document.querySelector("article[data-state=succeeded]");
  const percent = over ? "100" : /(\\d+) %/.exec(live?.textContent ?? "")?.[1];
  const last = seen.percents.at(-1);
  if (percent && last?.[0] !== Number(percent)) seen.percents.push([Number(percent), Date.now()]);
}).observe(document, { subtree: true, childList: true, characterData: true, attributeFilter: ["data-state"] });
"""


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Waits:
    """What a member waited for. `mask`: seconds from an answered upload to its drawn mask, for uploads during which the
    video was being made all the time; `dropped` of them were not. `event`: seconds from a percentage's first event to
    the page showing it, or a later one; `unseen` of them were never shown themselves.
    """

    mask: list[float] = field(default_factory=list)
    dropped: int = 0
    event: list[float] = field(default_factory=list)
    unseen: int = 0


def measure_browser(photos: int, videos: int) -> Waits:
    """At least `photos` uploads while videos are made, and the events of at least `videos` videos."""
    program = chromium()
    if program is None:
        raise RuntimeError("No Chromium was found (Debian: apt-get install chromium).")
    found, made = Waits(), 0
    with _studio() as studio, sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = _sign_in(browser, studio)
        steps.take_sample(page)
        steps.make_it_slow(page)
        while made < videos or len(found.mask) < photos:
            assert found.dropped <= photos, "videos end before a mask is shown: make them slower"
            job = steps.generate(page)
            expect(page.get_by_test_id("live-progress")).to_contain_text("%")
            wanted = min(photos - len(found.mask), math.ceil(photos / videos))
            _upload_while_running(page, job, Path(folder) / f"{made}.jpg", wanted, found)
            _watch_events(page, job, found)
            page.goto("/")
            steps.see_mask(page)
            made += 1
        browser.close()
    return found


def p95(seconds: list[float]) -> float:
    return float(np.percentile(seconds, 95))


@contextmanager
def _studio() -> Iterator[Studio]:
    folder = Path(tempfile.mkdtemp(prefix="aq-bench-"))
    folder.chmod(0o755)  # so that PostgreSQL's unprivileged user gets there when this runs as root
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AQ_", "DATABASE_URL"))}
    port = free_port()
    output = folder / "output.txt"
    with output.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "serve", "--port", str(port)],
            stdout=sink,
            stderr=subprocess.STDOUT,
            text=True,
            env={**env, "AQ_DATA_DIR": str(folder)},
        )
    studio = Studio(process, folder, port, output)
    try:
        yield studio.wait_until_running()
    finally:
        studio.end(signal.SIGTERM)
        wait_for(lambda: not processes_of(folder), 10)
        shutil.rmtree(folder, ignore_errors=True)


def _sign_in(browser: Browser, studio: Studio) -> Page:
    expect.set_options(timeout=WAIT_MS)
    page = _page(browser, f"http://127.0.0.1:{studio.port}", [])
    page.goto(studio.link())
    page.locator("label.strip-photo").first.wait_for()
    return page


def _page(browser: Browser, base_url: str, cookies: list[Any]) -> Page:
    context = browser.new_context(base_url=base_url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(WAIT_MS)
    context.add_cookies(cookies)
    context.add_init_script(WATCH)
    return context.new_page()


def _upload_while_running(page: Page, job: str, photo: Path, wanted: int, found: Waits) -> None:
    """Upload as long as the video is being made; an upload that it did not outlast says nothing."""
    for _ in range(wanted):
        if not _is_running(page, job):
            return
        seconds = _mask_seconds(page, photo, len(found.mask) + found.dropped)
        if not _is_running(page, job):
            found.dropped += 1
            return
        found.mask.append(seconds)


def _is_running(page: Page, job: str) -> bool:
    return bool(page.request.get(f"/api/v1/jobs/{job}").json()["state"] == "running")


def _mask_seconds(watching: Page, photo: Path, number: int) -> float:
    """Upload another photo in a second browser, while the first one's video is being made; each has its own size."""
    assert watching.context.browser is not None
    address = watching.url.split("/videos")[0]
    page = _page(watching.context.browser, address, list(watching.context.cookies()))
    page.goto("/")
    steps.upload(page, steps.draw_photo(photo, (3000, 4000 - number)))
    seen = page.evaluate("window.seen")
    page.context.close()
    return float(seen["mask"] - seen["uploaded"]) / 1000


def _watch_events(page: Page, job: str, found: Waits) -> None:
    """The first event of each percentage against the moments at which the page wrote percentages."""
    expect(page.locator("article")).to_have_attribute("data-state", "succeeded", timeout=VIDEO_MS)
    shown = [(int(percent), float(at)) for percent, at in page.evaluate("window.seen.percents")]
    written: dict[int, float] = {}
    for event in _events(page, job):
        if event["type"] == "progress":
            percent = math.floor(event["data"]["fraction"] * 100)
            written.setdefault(percent, datetime.fromisoformat(event["created_at"]).timestamp() * 1000)
    # What was written before the page looked is no event that it waited for.
    opened = float(page.evaluate("window.seen.opened"))
    awaited = {percent: at for percent, at in written.items() if at >= opened}
    found.event += event_seconds(awaited, shown, float(page.evaluate("Date.now()")))
    found.unseen += len(awaited.keys() - dict(shown).keys())


def event_seconds(written: dict[int, float], shown: list[tuple[int, float]], ended: float) -> list[float]:
    """Seconds until each written percentage, or a later one, is shown; times in milliseconds.

    Events come faster than a page is drawn, and then only the last is seen. One that is never shown at all waits until
    the watching `ended`.
    """
    found = []
    for percent, at in sorted(written.items()):
        later = [moment for value, moment in shown if value >= percent]
        found.append((min(later, default=ended) - at) / 1000)
    return found


def _events(page: Page, job: str) -> Iterator[dict[str, Any]]:
    after = 0
    while results := page.request.get(f"/api/v1/jobs/{job}/events?after={after}").json()["results"]:
        yield from results
        after = results[-1]["seq"]
