"""What a member does on the page, in their words."""

import re
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter
from playwright.sync_api import Locator, Page, expect

from tests.studio.embedded.running import wait_for

PATIENCE_SECONDS = 60.0


def draw_photo(path: Path, size: tuple[int, int] = (900, 1200)) -> Path:
    """A red jar with a white label on a light table."""
    width, height = size
    photo = Image.new("RGB", size, (226, 222, 214))
    pen = ImageDraw.Draw(photo)
    pen.rectangle((0, int(height * 0.72), width, height), fill=(196, 180, 160))
    left, top, right, bottom = int(width * 0.32), int(height * 0.3), int(width * 0.68), int(height * 0.82)
    pen.rounded_rectangle((left, top, right, bottom), radius=width // 16, fill=(168, 36, 40))
    pen.rectangle((left + width // 24, top - height // 20, right - width // 24, top + height // 40), fill=(38, 38, 42))
    pen.rectangle((left, int(height * 0.5), right, int(height * 0.66)), fill=(240, 238, 232))
    photo.filter(ImageFilter.GaussianBlur(1)).save(path, quality=92)
    return path


def draw_cut_out(path: Path, size: tuple[int, int] = (300, 400)) -> Path:
    """A jar without its surroundings, which brings its mask along: nothing has to be found."""
    photo = Image.open(draw_photo(path.with_suffix(".jpg"), size))
    width, height = size
    alpha = Image.new("L", size)
    jar = (int(width * 0.32), int(height * 0.3), int(width * 0.68), int(height * 0.82))
    ImageDraw.Draw(alpha).rounded_rectangle(jar, radius=width // 16, fill=255)
    photo.putalpha(alpha)
    photo.save(path)
    return path


def upload(page: Page, photo: Path) -> None:
    """Choose a photo, and wait until its mask is seen."""
    page.get_by_role("button", name="Choose a photo", exact=True).wait_for()
    page.locator("input[type=file]").last.set_input_files(photo)
    see_mask(page)


def take_sample(page: Page, number: int = 0) -> None:
    page.locator("label.strip-photo").nth(number).click()
    see_mask(page)


def see_mask(page: Page) -> None:
    expect(page.get_by_test_id("mask-layer")).to_be_visible()
    expect(page.get_by_test_id("framing-window")).to_be_visible()


def choose(page: Page, group: str, name: str) -> None:
    page.get_by_role("group", name=group, exact=True).locator(
        "label", has_text=re.compile(f"^{re.escape(name)}$")
    ).click()


def make_it_quick(page: Page, *, steps: int = 4) -> None:
    """The smallest and shortest video, so that a test waits for as little as possible."""
    page.get_by_label("Length", exact=True).press("Home")
    if not page.get_by_label("Steps", exact=True).is_visible():
        page.get_by_text("Size and quality").click()
    choose(page, "Shorter side", "540 px")
    slider = page.get_by_label("Steps", exact=True)
    slider.fill(str(steps))


def make_it_slow(page: Page) -> None:
    """Long enough to look at it while it runs, and to cancel it."""
    page.get_by_label("Length", exact=True).press("End")
    if not page.get_by_label("Steps", exact=True).is_visible():
        page.get_by_text("Size and quality").click()
    choose(page, "Shorter side", "1080 px")
    page.get_by_label("Steps", exact=True).fill("50")


def generate(page: Page) -> str:
    """Start it; the id of the job whose page opens."""
    press_generate(page)
    page.wait_for_url("**/videos/*")
    return job_of(page)


def press_generate(page: Page) -> None:
    """When the framing is known: what it costs may be news otherwise, and then the page wants a second press."""
    framing_is_known(page)
    page.get_by_role("button", name="Generate").click()


def framing_is_known(page: Page) -> None:
    expect(page.get_by_text("Working out the framing…")).to_have_count(0)


def finished_video(page: Page) -> Locator:
    video = page.locator("video")
    expect(video).to_be_visible()
    comes_true(lambda: video.evaluate("video => video.readyState >= 2"))
    return video


def drag(page: Page, over: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a line on an element, in fractions of its size."""
    box = over.bounding_box()
    assert box is not None
    left, top, width, height = box["x"], box["y"], box["width"], box["height"]
    page.mouse.move(left + start[0] * width, top + start[1] * height)
    page.mouse.down()
    page.mouse.move(left + end[0] * width, top + end[1] * height, steps=6)
    page.mouse.up()


def painted_share(page: Page) -> float:
    """How much of the photo the shown mask covers."""
    return page.get_by_test_id("mask-layer").evaluate(
        """canvas => {
            const { width, height } = canvas;
            const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
            let covered = 0;
            for (let at = 3; at < data.length; at += 4) if (data[at] > 60) covered += 1;
            return covered / (width * height);
        }"""
    )


def setting(page: Page, label: str) -> str:
    """The value of one row of the settings of a video."""
    row = page.locator(".row", has=page.locator("dt", has_text=re.compile(f"^{re.escape(label)}$"))).first
    return row.locator("dd").inner_text()


def job_of(page: Page) -> str:
    return page.url.rsplit("/", 1)[1]


def tool(page: Page, name: str) -> None:
    choose(page, "Tool", name)


def comes_true(what: Callable[[], bool]) -> None:
    assert wait_for(what, PATIENCE_SECONDS)


def tab_to(page: Page, selector: str, *, backwards: bool = False) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(120):
        if page.locator(selector).first.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
    raise AssertionError(f"The keyboard does not get to {selector}.")
