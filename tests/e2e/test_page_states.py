"""What the page shows when something is missing, wrong or far away; and that it needs no mouse and no wide screen."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from tests.e2e import steps
from tests.studio.embedded.running import Studio

Visit = Callable[..., Page]
EMPTY = json.dumps({"results": [], "next": None})


PASSWORD = "four unusual words here"


def add_person(studio: Studio, email: str) -> None:
    """As an administrator would, with the studio running."""
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "create_user", email, "--workspace", "demo"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AQ_", "DATABASE_URL"))}
    env = {**clean, "AQ_DATA_DIR": str(studio.data_dir), "DJANGO_SETTINGS_MODULE": "studio.settings"}
    done = subprocess.run(
        [*command, "--password-stdin"], input=f"{PASSWORD}\n", env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_signing_in_and_out(visit: Visit, studio: Studio) -> None:
    add_person(studio, "pat@studio.example")
    page = visit("/videos", signed_in_as=None)
    page.get_by_label("E-mail").fill("pat@studio.example")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    expect(page.get_by_role("navigation")).to_have_count(0)

    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation")).to_be_visible()
    expect(page.get_by_label("Password")).to_have_count(0)

    page.get_by_label("Account").click()
    expect(page.get_by_text("pat@studio.example").first).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Password")).to_be_visible()
    expect(page.get_by_role("navigation")).to_have_count(0)


def test_signing_out_asks_before_anything_is_lost(visit: Visit, studio: Studio) -> None:
    add_person(studio, "kim@studio.example")
    page = visit("/brand", signed_in_as=None)
    page.get_by_label("E-mail").fill("kim@studio.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Add a brand").click()
    page.get_by_label("Name", exact=True).fill("Northli")
    page.get_by_label("Account").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("Sign out and lose what is not saved?")).to_be_visible()
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Northli")
    page.get_by_label("Account").click()
    page.get_by_role("button", name="Sign out").click()
    asked: list[str] = []
    page.on("dialog", lambda dialog: asked.append(dialog.type) or dialog.accept())
    page.get_by_role("dialog").get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Password")).to_be_visible()
    assert asked == []  # once is enough


def test_a_link_that_was_used_says_so_and_signs_nobody_in(visit: Visit, studio: Studio) -> None:
    page = visit("/", signed_in_as=None)
    answer = page.goto(studio.link())  # the one that `visit` has signed in with
    assert answer is not None and answer.status == 410
    expect(page.get_by_role("heading", name="This sign-in link no longer works")).to_be_visible()
    page.get_by_role("link", name="sign in with e-mail and password").click()
    expect(page.get_by_label("Password")).to_be_visible()


def test_offline_is_told_and_taken_back(page: Page) -> None:
    expect(page.get_by_role("navigation")).to_be_visible()
    page.context.set_offline(True)
    expect(page.get_by_text("You are offline.")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("You are offline.")).to_have_count(0)


@pytest.mark.parametrize("path", ["/", "/library"])
def test_pictures_that_did_not_load_are_shown_when_the_studio_is_back(visit: Visit, path: str) -> None:
    page = visit("/brand")
    page.route("**/media/**", lambda route: route.abort())
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.goto(path)
    picture = page.locator(".strip-photo img, .card-picture").last
    picture.scroll_into_view_if_needed()
    steps.comes_true(lambda: bool(page.wait_for_timeout(50) or any("/media/" in url for url in failed)))
    page.context.set_offline(True)
    expect(page.get_by_text("You are offline.")).to_be_visible()
    page.unroute("**/media/**")
    page.context.set_offline(False)
    steps.comes_true(lambda: picture.evaluate("it => it.complete && it.naturalWidth > 0"))


def test_a_killed_web_process_is_told_and_the_page_catches_up(visit: Visit, studio: Studio) -> None:
    page = visit("/")
    steps.take_sample(page)
    steps.make_it_slow(page)
    steps.generate(page)
    expect(page.get_by_test_id("live-progress")).to_contain_text(re.compile(r"\d+ %"))

    studio.child("studio.embedded.web").send_signal(signal.SIGKILL)
    expect(page.get_by_text("Reconnecting to the studio.")).to_be_visible()
    expect(page.get_by_text("Reconnecting to the studio.")).to_have_count(0)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel video").click()
    expect(page.locator("article[data-state=canceled]")).to_be_visible()


def test_empty_and_failed_lists(visit: Visit) -> None:
    page = visit("/library")
    page.route("**/api/v1/jobs?*", lambda route: route.fulfill(body=EMPTY, content_type="application/json"))
    page.goto("/videos")
    expect(page.get_by_text("No videos yet")).to_be_visible()

    page.unroute("**/api/v1/jobs?*")
    page.route("**/api/v1/jobs?*", lambda route: route.abort())
    page.goto("/videos")
    expect(page.get_by_text("The studio does not answer.")).to_be_visible()
    again = page.get_by_role("button", name="Try again")
    with page.expect_request("**/api/v1/jobs?*"):
        again.click()
    page.unroute("**/api/v1/jobs?*")
    # The page asks again by itself too: then the button is gone before it is pressed once more.
    again.evaluate_all("buttons => buttons.forEach(one => one.click())")
    expect(page.get_by_text("The studio does not answer.")).to_have_count(0)


def test_addresses_that_lead_nowhere(visit: Visit) -> None:
    page = visit("/videos/0190a000-0000-7000-8000-000000000000")
    expect(page.get_by_text("There is no such video")).to_be_visible()
    page.goto("/nowhere/at/all")
    expect(page.get_by_text("There is no such page")).to_be_visible()


def test_a_file_that_is_no_photo_is_refused_with_a_sentence(page: Page, tmp_path: Path) -> None:
    page.get_by_role("button", name="Choose a photo", exact=True).wait_for()
    fake = tmp_path / "photo.jpg"
    fake.write_text("This is no picture.")
    page.locator("input[type=file]").last.set_input_files(fake)
    alert = page.get_by_role("alert")
    expect(alert).to_be_visible()
    expect(alert).not_to_contain_text("Traceback")
    steps.upload(page, steps.draw_photo(tmp_path / "good.jpg"))
    expect(alert).to_have_count(0)


def test_a_prompt_that_is_too_long_is_told_before_and_by_the_server(page: Page) -> None:
    steps.take_sample(page)
    prompt = page.get_by_label("Prompt")
    prompt.fill("é" * 2001)
    expect(page.get_by_text("2001 / 2000")).to_be_visible()
    steps.press_generate(page)
    expect(page.get_by_text("Nothing was started")).to_be_visible()
    assert page.url.endswith("/")
    prompt.fill("")


def test_the_whole_way_by_keyboard(page: Page) -> None:
    page.get_by_role("button", name="Choose a photo", exact=True).wait_for()
    page.locator("label.strip-photo img").first.wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()

    steps.tab_to(page, ".strip-photo input")
    page.keyboard.press("Space")
    steps.see_mask(page)
    before = steps.painted_share(page)
    eraser = page.locator(".keyboard-brush[aria-label^='Eraser']")
    # A mask is shown a moment before it may be painted on, and until then the key does nothing.
    steps.comes_true(lambda: bool(page.keyboard.press("e") or eraser.count()))
    steps.tab_to(page, ".keyboard-brush", backwards=True)
    page.keyboard.down("Space")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.up("Space")
    steps.comes_true(lambda: steps.painted_share(page) < before)
    page.keyboard.press("Control+z")
    steps.comes_true(lambda: steps.painted_share(page) == before)

    steps.tab_to(page, ".strip-photo input")
    page.keyboard.press("Tab")  # past the photos to the controls, as they stand on the page
    expect(page.get_by_role("radio", name="9:16")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="1:1")).to_be_checked()
    steps.tab_to(page, "textarea")
    page.keyboard.type("slow dolly in")
    steps.tab_to(page, "button[type=submit]")
    steps.framing_is_known(page)
    page.keyboard.press("Enter")
    page.wait_for_url("**/videos/*")
    steps.tab_to(page, "button:has-text('Cancel')")
    page.keyboard.press("Enter")
    steps.tab_to(page, "dialog button:has-text('Cancel video')")
    page.keyboard.press("Enter")
    expect(page.locator("article[data-state=canceled]")).to_be_visible()


def test_what_was_typed_is_not_lost_at_one_press(page: Page) -> None:
    prompt = page.get_by_label("Prompt")
    prompt.fill("slow orbit to the left")
    page.get_by_role("button", name="Defaults").click()
    expect(prompt).to_have_value("")
    page.get_by_role("button", name="Undo defaults").click()
    expect(prompt).to_have_value("slow orbit to the left")

    navigation = page.get_by_role("navigation")
    navigation.get_by_role("link", name="Brand").click()
    page.get_by_role("button", name="Add a brand").click()
    page.get_by_label("Name", exact=True).fill("Northli")
    navigation.get_by_role("link", name="Library").click()
    navigation.get_by_role("link", name="Brand").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Northli")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Name", exact=True)).to_have_count(0)


def test_the_wheel_moves_a_zoomed_photo_and_not_the_page(page: Page) -> None:
    steps.take_sample(page)
    wheel = """stage => [1, 2].map(() => {
        const event = new WheelEvent('wheel', { deltaY: 40, bubbles: true, cancelable: true });
        return stage.dispatchEvent(event);
    })"""
    assert page.locator(".stage").evaluate(wheel) == [True, True]
    page.get_by_role("button", name="Zoom in").click()
    photo = page.locator(".stage-photo")
    before = photo.bounding_box()
    assert page.locator(".stage").evaluate(wheel) == [False, False]
    steps.comes_true(lambda: photo.bounding_box() != before)


def test_the_account_menu_by_keyboard(page: Page) -> None:
    summary = page.locator(".account summary")
    menu = page.locator(".account-menu")
    summary.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(menu).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(summary).to_be_focused()
    summary.click()
    page.evaluate("document.activeElement.blur()")  # as in browsers that focus nothing that is clicked
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(summary).to_be_focused()
    page.keyboard.press("Enter")
    steps.tab_to(page, ".account-menu button:has-text('Sign out')")
    page.keyboard.press("Tab")
    expect(menu).to_be_hidden()


@pytest.mark.parametrize("path", ["/", "/videos", "/library", "/brand", "/people", "/keys", "/nowhere"])
def test_a_phone_needs_no_sideways_scrolling(visit: Visit, path: str) -> None:
    page = visit(path, phone=True)
    page.get_by_role("navigation").wait_for()
    expect(page.locator(".skeleton")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize(("phone", "wide"), [(False, 1440), (True, 390)])
def test_a_long_file_name_stays_in_its_card(visit: Visit, tmp_path: Path, phone: bool, wide: int) -> None:
    page = visit("/library", phone=phone)
    name = f"IMG_{'final_v2_for_social_media_' * 3}{wide}.jpg"
    page.locator("input[type=file]").last.set_input_files(steps.draw_photo(tmp_path / name, (300, 400)))
    picture = page.get_by_role("button", name=f"Create a video from {name}")
    picture.wait_for()
    inside, column = picture.bounding_box(), page.locator(".cards li").first.bounding_box()
    assert inside is not None and column is not None
    assert inside["width"] <= column["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == wide


def test_the_brush_works_with_a_finger(visit: Visit) -> None:
    page = visit("/", phone=True)
    steps.take_sample(page)
    before = steps.painted_share(page)
    steps.tool(page, "Brush")
    box = page.get_by_test_id("mask-layer").bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + 0.06 * box["width"], box["y"] + 0.06 * box["height"])
    steps.comes_true(lambda: steps.painted_share(page) > before)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_text("Size and quality").click()
    # Tiles and buttons are larger anyway; these are drawn thin, and their boxes are what a finger has to hit.
    targets = page.locator(".radio-face:visible, input[type=range]:visible, button:visible").all()
    assert len(targets) > 20
    assert min(round(target.evaluate("it => it.getBoundingClientRect().height")) for target in targets) >= 40


def test_the_theme_is_kept(page: Page) -> None:
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Dark theme").click()
    assert page.evaluate(colour) != light
    page.reload()
    expect(page.get_by_role("button", name="Light theme")).to_be_visible()
    assert page.evaluate(colour) != light


def test_the_focus_and_the_title_go_with_the_member(page: Page) -> None:
    expect(page).to_have_title("Create · Aquarius Studio")
    assert page.evaluate("document.activeElement === document.body")
    page.get_by_role("navigation").get_by_role("link", name="Library").click()
    expect(page.locator("main")).to_be_focused()
    expect(page).to_have_title("Library · Aquarius Studio")
    delete = page.get_by_role("button", name=re.compile("^Delete ")).first
    for leave in ("Escape", "Enter"):  # Keep has the focus
        delete.click()
        expect(page.get_by_role("button", name="Keep")).to_be_focused()
        page.keyboard.press(leave)
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(delete).to_be_focused()
    page.go_back()
    expect(page.locator("main")).to_be_focused()
    expect(page).to_have_title("Create · Aquarius Studio")
