"""A real studio and a real Chromium for the tests of the page. Both live as long as these tests."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, expect, sync_playwright

from tests.studio.embedded.running import Studio, free_port, processes_of, wait_for

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 180_000  # everything is much faster on a machine that does nothing else
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}

expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="package")
def chromium() -> str:
    """Playwright's own Chromium cannot decode H.264, so it takes one of the machine."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("No Chromium was found (Debian: apt-get install chromium), so the page was not tested.")
    return found


@pytest.fixture(scope="package")
def studio(chromium: str) -> Iterator[Studio]:
    built = settings.BASE_DIR / "frontend" / "dist" / "index.html"
    assert built.is_file(), "The page is not built. Run `make install`."
    folder = Path(tempfile.mkdtemp(prefix="aq-e2e-"))
    folder.chmod(0o755)  # so that PostgreSQL's unprivileged user gets there when the tests run as root
    output = folder / "output.txt"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AQ_", "DATABASE_URL"))}
    env = {
        **inherited,
        "AQ_DATA_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "studio.settings",
        "OMP_NUM_THREADS": "1",
    }
    port = free_port()
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "serve", "--port", str(port)]
    with output.open("w") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, text=True, env=env)
    running = Studio(process, folder, port, output)
    try:
        yield running.wait_until_running()
    finally:
        if process.poll() is None:
            running.end(signal.SIGTERM)
        wait_for(lambda: not processes_of(folder), 10)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="package")
def signed_in(studio: Studio, browser: Browser) -> StorageState:
    """The cookies of a member who used the studio's one-time link."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(studio.link(), timeout=PATIENCE_MS)
    page.get_by_role("button", name="Choose a photo", exact=True).wait_for(timeout=PATIENCE_MS)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def visit(studio: Studio, browser: Browser, signed_in: StorageState) -> Iterator[Callable[..., Page]]:
    """Opens a browser of its own at a path; at the end, no page may have thrown an error."""
    contexts: list[BrowserContext] = []
    thrown: list[str] = []

    def open_page(path: str = "/", *, signed_in_as: StorageState | None = signed_in, phone: bool = False) -> Page:
        context = browser.new_context(
            base_url=f"http://127.0.0.1:{studio.port}",
            viewport=PHONE if phone else DESKTOP,
            has_touch=phone,
            is_mobile=phone,
            storage_state=signed_in_as,
            accept_downloads=True,
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: thrown.append(str(error)))
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            page.unroute_all(behavior="ignoreErrors")  # the page may ask once more while it is closed
        context.close()
    assert thrown == []


@pytest.fixture
def page(visit: Callable[..., Page]) -> Page:
    return visit("/")
