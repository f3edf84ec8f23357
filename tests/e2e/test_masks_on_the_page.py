"""A mask that is painted on the page: whatever fails or comes from elsewhere meanwhile, nothing of it gets lost."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.e2e import steps

Visit = Callable[..., Page]
MASK = "**/api/v1/assets/*/mask"
ASSET = re.compile(r"/api/v1/assets/[0-9a-f-]{36}$")


def test_a_failed_mask_can_be_painted(visit: Visit) -> None:
    page = visit("/library")

    def without_mask(route: Route) -> None:
        answer = route.fetch()
        asset = answer.json()
        asset["mask"] = {"state": "failed", "source": "auto", "url": None, "job": None, "error": None}
        route.fulfill(response=answer, json=asset)

    page.route(re.compile(r"/api/v1/assets/[0-9a-f-]{36}$"), without_mask)
    page.goto("/")
    page.locator("label.strip-photo").first.click()
    expect(page.get_by_text("The product was not found automatically")).to_be_visible()
    page.get_by_role("button", name="Paint it").click()
    assert steps.painted_share(page) == 0
    steps.drag(page, page.get_by_test_id("mask-layer"), (0.3, 0.3), (0.6, 0.6))
    steps.comes_true(lambda: steps.painted_share(page) > 0)


def test_a_mask_that_was_not_saved_is_kept_and_sent_when_the_studio_answers(page: Page, tmp_path: Path) -> None:
    steps.upload(page, steps.draw_photo(tmp_path / "jar.jpg", (300, 400)))
    steps.tool(page, "Brush")
    before = steps.painted_share(page)
    page.route(MASK, lambda route: route.abort())
    steps.drag(page, page.get_by_test_id("mask-layer"), (0.1, 0.05), (0.6, 0.05))
    expect(page.get_by_text("Mask not saved")).to_be_visible()
    painted = steps.painted_share(page)
    assert painted > before
    page.get_by_role("navigation").get_by_role("link", name="Videos").click()
    expect(page.get_by_text("is not saved yet")).to_be_visible()
    page.get_by_role("navigation").get_by_role("link", name="Create").click()
    steps.see_mask(page)
    steps.comes_true(lambda: steps.painted_share(page) == painted)
    with page.expect_event("dialog") as asked:
        page.evaluate("setTimeout(() => location.reload())")
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()

    page.unroute(MASK)
    with page.expect_response(lambda answer: answer.url.endswith("/mask")) as saved:
        page.evaluate("window.dispatchEvent(new Event('online'))")
    assert saved.value.status == 200
    expect(page.get_by_text("Mask not saved")).to_have_count(0)


def test_a_mask_that_a_full_disk_refused_is_sent_again_from_another_page(page: Page, tmp_path: Path) -> None:
    steps.upload(page, steps.draw_cut_out(tmp_path / "jar.png"))
    steps.tool(page, "Brush")
    full = json.dumps({"status": 507, "code": "disk_full", "detail": "The studio's disk is full."})
    page.route(MASK, lambda route: route.fulfill(status=507, content_type="application/problem+json", body=full))
    steps.drag(page, page.get_by_test_id("mask-layer"), (0.1, 0.05), (0.6, 0.05))
    again = page.get_by_role("button", name="Try again")
    again.focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    expect(again).to_be_focused()
    page.get_by_role("navigation").get_by_role("link", name="Videos").click()
    page.unroute(MASK)
    with page.expect_response(lambda answer: answer.url.endswith("/mask") and answer.status == 200):
        pass  # by itself: neither the feed nor the line was ever gone; what was under way may still be refused


def test_a_mask_that_is_refused_for_good_says_why(page: Page, tmp_path: Path) -> None:
    steps.upload(page, steps.draw_cut_out(tmp_path / "jar.png"))
    steps.tool(page, "Brush")
    small = json.dumps({"status": 422, "code": "too_small", "detail": "The mask is too small."})
    page.route(MASK, lambda route: route.fulfill(status=422, content_type="application/problem+json", body=small))
    steps.drag(page, page.get_by_test_id("mask-layer"), (0.1, 0.05), (0.6, 0.05))
    expect(page.get_by_role("alert")).to_contain_text("The mask is too small.")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    # To press on what it says is no stroke.
    painted = steps.painted_share(page)
    page.get_by_role("alert").click()
    page.wait_for_timeout(200)
    assert steps.painted_share(page) == painted
    page.reload()  # without a question


def test_a_stroke_is_kept_when_the_tool_changes_during_it(page: Page, tmp_path: Path) -> None:
    steps.upload(page, steps.draw_cut_out(tmp_path / "jar.png"))
    steps.tool(page, "Brush")
    before = steps.painted_share(page)
    box = page.get_by_test_id("mask-layer").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.05 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.05 * box["height"], steps=4)
    with page.expect_response(lambda answer: answer.url.endswith("/mask")):
        page.keyboard.press("v")
        page.mouse.up()
    painted = steps.painted_share(page)
    assert painted > before

    steps.tool(page, "Eraser")
    page.locator(".keyboard-brush").focus()
    page.keyboard.down("Space")
    page.keyboard.press("ArrowDown")
    with page.expect_response(lambda answer: answer.url.endswith("/mask")):
        page.keyboard.press("v")
        page.keyboard.up("Space")
    assert steps.painted_share(page) < painted
    page.keyboard.press("Control+z")
    steps.comes_true(lambda: steps.painted_share(page) == painted)


def test_a_mask_outlives_a_session_that_ended(page: Page, tmp_path: Path) -> None:
    steps.upload(page, steps.draw_cut_out(tmp_path / "jar.png"))
    before = steps.painted_share(page)
    steps.tool(page, "Brush")
    cookies = page.context.cookies()
    page.context.clear_cookies(name=re.compile("aq_session"))
    steps.drag(page, page.get_by_test_id("mask-layer"), (0.1, 0.05), (0.6, 0.05))
    expect(page.get_by_text("Your session has ended")).to_be_visible()

    page.context.add_cookies(cookies)
    with page.expect_response(lambda answer: answer.url.endswith("/mask") and answer.status == 200):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))")
    steps.see_mask(page)
    steps.comes_true(lambda: steps.painted_share(page) > before)


def test_a_mask_is_saved_in_its_own_workspace_whichever_is_shown(visit: Visit, tmp_path: Path) -> None:
    page = visit("/library")
    own: list[str] = []

    def with_another_workspace(route: Route) -> None:
        session = route.fetch().json()
        own.append(session["workspace"])
        session["workspaces"].append({"id": "0190a000-0000-7000-8000-000000000000", "name": "Second", "role": "owner"})
        route.fulfill(json=session)

    page.route("**/api/v1/session", with_another_workspace)
    page.goto("/")
    steps.upload(page, steps.draw_cut_out(tmp_path / "jar.png"))
    steps.tool(page, "Brush")
    page.route(MASK, lambda route: route.abort())
    steps.drag(page, page.get_by_test_id("mask-layer"), (0.1, 0.05), (0.6, 0.05))
    expect(page.get_by_text("Mask not saved")).to_be_visible()
    page.get_by_label("Account").click()
    page.get_by_text("Second", exact=True).click()
    expect(page.get_by_test_id("mask-layer")).to_have_count(0)
    page.unroute(MASK)
    with page.expect_response(lambda answer: answer.url.endswith("/mask")) as saved:
        page.evaluate("window.dispatchEvent(new Event('online'))")
    assert saved.value.request.headers["x-workspace"] == own[0]
    assert saved.value.status == 200


def test_a_mask_from_another_tab_is_shown_before_a_video_is_made_with_it(page: Page, tmp_path: Path) -> None:
    steps.upload(page, steps.draw_photo(tmp_path / "jar.jpg", (300, 400)))
    before = steps.painted_share(page)
    other = page.context.new_page()
    other.goto("/")
    steps.see_mask(other)
    steps.tool(other, "Brush")
    with other.expect_response(lambda answer: answer.url.endswith("/mask")):
        steps.drag(other, other.get_by_test_id("mask-layer"), (0.1, 0.05), (0.6, 0.05))
    other.close()

    assert steps.painted_share(page) == before
    steps.press_generate(page)
    expect(page.get_by_role("alert")).to_contain_text("The mask was changed elsewhere")
    steps.comes_true(lambda: steps.painted_share(page) > before)
    assert page.url.endswith("/")


def test_a_mask_that_is_found_anew_takes_nothing_from_what_is_painted(page: Page, tmp_path: Path) -> None:
    steps.upload(page, steps.draw_photo(tmp_path / "jar.jpg", (300, 400)))
    automatic = steps.painted_share(page)
    steps.tool(page, "Brush")
    layer = page.get_by_test_id("mask-layer")
    steps.drag(page, layer, (0.1, 0.05), (0.6, 0.05))
    expect(page.get_by_text("Saving mask…")).to_have_count(0)
    painted = steps.painted_share(page)
    assert painted > automatic

    page.keyboard.press("Control+z")
    see_search(page)
    page.get_by_role("button", name="Redo").click()
    steps.comes_true(lambda: steps.painted_share(page) == painted)

    expect(page.get_by_text("Saving mask…")).to_have_count(0)
    box = layer.bounding_box()
    assert box is not None
    page.keyboard.press("Control+z")
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    see_search(page)
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.1 * box["height"], steps=4)
    page.mouse.up()
    steps.comes_true(lambda: steps.painted_share(page) > automatic)


def see_search(page: Page) -> None:
    """The product is looked for, and found."""
    looking = page.get_by_text("Finding the product…")
    expect(looking).to_be_visible()
    expect(looking).to_have_count(0)
    page.wait_for_timeout(300)


def test_a_mask_that_is_found_after_a_failed_search_is_shown(visit: Visit, tmp_path: Path) -> None:
    page = visit("/library")

    def without_mask(route: Route) -> None:
        answer = route.fetch()
        mask = {"id": "auto", "state": "failed", "source": "auto", "url": None, "job": None, "error": None}
        route.fulfill(response=answer, json={**answer.json(), "mask": mask})

    page.route(ASSET, without_mask)
    page.goto("/")
    page.get_by_role("button", name="Choose a photo", exact=True).wait_for()
    page.locator("input[type=file]").last.set_input_files(steps.draw_photo(tmp_path / "jar.jpg", (300, 400)))
    page.get_by_role("button", name="Paint it").click()
    with page.expect_response(lambda answer: answer.url.endswith("/mask")):
        steps.drag(page, page.get_by_test_id("mask-layer"), (0.1, 0.05), (0.6, 0.05))
    painted = steps.painted_share(page)

    page.unroute(ASSET)
    page.get_by_role("button", name="Back to the automatic mask").click()
    see_search(page)
    steps.comes_true(lambda: steps.painted_share(page) > 2 * painted)
    found = steps.painted_share(page)
    for _ in range(2):  # to before the first stroke, where nothing had been found
        page.keyboard.press("Control+z")
    steps.comes_true(lambda: steps.painted_share(page) == found)
