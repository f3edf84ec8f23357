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
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e import steps
from tests.studio.embedded.running import Studio, free_port, processes_of, wait_for

ROOT = Path(__file__).parents[3]
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
WAIT_MS = 120_000

# Runs in the page: when an upload was answered, when its mask was drawn, and when each percentage was shown.
WATCH = """
window.seen = { uploaded: null, mask: null, percents: [] };
const send = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function (body) {
  this.addEventListener("load", () => { window.seen.uploaded = Date.now(); });
  return send.call(this, body);
};
new MutationObserver(() => {
  const { seen } = window;
  if (seen.uploaded && !seen.mask && document.querySelector("[data-testid=mask-layer]")) seen.mask = Date.now();
  const text = document.querySelector("[data-testid=live-progress]")?.textContent ?? "";
  const percent = /(\\d+) %/.exec(text)?.[1];
  const last = seen.percents.at(-1);
  if (percent && last?.[0] !== Number(percent)) seen.percents.push([Number(percent), Date.now()]);
}).observe(document, { subtree: true, childList: true, characterData: true });
"""


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def measure_browser(photos: int, videos: int) -> dict[str, list[float]]:
    """{"mask": seconds from an answered upload to its drawn mask, "event": seconds from an event's row to the page}."""
    program = chromium()
    if program is None:
        raise RuntimeError("No Chromium was found (Debian: apt-get install chromium).")
    with _studio() as studio, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = _sign_in(browser, studio)
        steps.take_sample(page)
        steps.make_it_slow(page)
        found: dict[str, list[float]] = {"mask": [], "event": []}
        with tempfile.TemporaryDirectory() as folder:
            for number in range(videos):
                job = steps.generate(page)
                expect(page.get_by_test_id("live-progress")).to_contain_text("%")
                photo = Path(folder) / f"{number}.jpg"
                found["mask"] += [_mask_seconds(page, photo) for _ in range(photos // videos)]
                found["event"] += _event_seconds(page, job)
                page.goto("/")
                steps.see_mask(page)
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


def _mask_seconds(watching: Page, photo: Path) -> float:
    """Upload another photo in a second browser, while the first one's video is being made."""
    assert watching.context.browser is not None
    address = watching.url.split("/videos")[0]
    page = _page(watching.context.browser, address, list(watching.context.cookies()))
    page.goto("/")
    steps.upload(page, steps.draw_photo(photo, (3000, 4000)))
    seen = page.evaluate("window.seen")
    page.context.close()
    return float(seen["mask"] - seen["uploaded"]) / 1000


def _event_seconds(page: Page, job: str) -> list[float]:
    """The first event of each percentage against the moment at which the page wrote it."""
    expect(page.locator("article")).to_have_attribute("data-state", "succeeded")
    shown: dict[int, float] = dict(page.evaluate("window.seen.percents"))
    events: list[dict[str, Any]] = page.request.get(f"/api/v1/jobs/{job}/events").json()["results"]
    written: dict[int, float] = {}
    for event in events:
        if event["type"] == "progress":
            percent = math.floor(event["data"]["fraction"] * 100)
            written.setdefault(percent, datetime.fromisoformat(event["created_at"]).timestamp() * 1000)
    return [(shown[percent] - written[percent]) / 1000 for percent in sorted(shown.keys() & written.keys())]
