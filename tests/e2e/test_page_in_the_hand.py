"""What the page is like on a phone, also lying on its side."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e import steps

Visit = Callable[..., Page]


@pytest.mark.parametrize(("width", "height"), [(844, 390), (667, 375)])
def test_all_of_the_account_menu_can_be_reached_in_a_low_window(visit: Visit, width: int, height: int) -> None:
    page = visit("/library", phone=True)
    session = page.request.get("/api/v1/session").json()
    session["workspaces"] += [{"id": str(number), "name": f"Brand {number}", "role": "owner"} for number in range(3)]
    page.route("**/api/v1/session", lambda route: route.fulfill(json=session))
    page.set_viewport_size({"width": width, "height": height})
    page.goto("/videos")
    page.get_by_label("Account").click()
    sign_out = page.get_by_role("button", name="Sign out")
    sign_out.scroll_into_view_if_needed()
    expect(sign_out).to_be_in_viewport(ratio=0.9)  # a scroll ends at a whole pixel
    reached = """it => {
        const { x, y } = it.getBoundingClientRect();
        return it.contains(document.elementFromPoint(x + 8, y + 8));
    }"""
    assert sign_out.evaluate(reached)


def test_the_photo_is_large_enough_to_paint_on_also_on_a_phone_on_its_side(visit: Visit) -> None:
    page = visit("/", phone=True)
    page.set_viewport_size({"width": 844, "height": 390})
    steps.take_sample(page)
    steps.tool(page, "Brush")
    photo = page.get_by_test_id("mask-layer").bounding_box()
    assert photo is not None
    assert photo["height"] >= 150
    assert page.evaluate("document.documentElement.scrollWidth") == 844


def test_a_refused_photo_is_told_in_sight_also_beside_many_notes(visit: Visit, tmp_path: Path) -> None:
    page = visit("/library", phone=True)
    notices = [{"code": f"note_{one}", "message": f"{one}: " + "what is to be known. " * 8} for one in range(3)]

    def with_notices(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "notices": notices})

    page.route("**/api/v1/framings", with_notices)
    page.goto("/")
    steps.take_sample(page)
    expect(page.get_by_text("0: what is")).to_be_visible()
    page.evaluate("window.scrollTo(0, 0)")
    (tmp_path / "notes.txt").write_text("no photo")
    page.locator("input[type=file]").last.set_input_files(tmp_path / "notes.txt")
    told = page.get_by_text("is not a photo the studio can read")
    expect(told).to_be_visible()
    seen = """it => {
        const { left, bottom } = it.getBoundingClientRect();
        return it.contains(document.elementFromPoint(left + 8, bottom - 8));
    }"""
    steps.comes_true(lambda: told.evaluate(seen))


def test_how_old_a_video_is_can_be_read_on_a_phone(visit: Visit) -> None:
    page = visit("/", phone=True)
    steps.take_sample(page)
    steps.choose(page, "Camera move", "Orbit right")
    steps.make_it_slow(page)
    job = steps.generate(page)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel video").click()
    expect(page.locator("article[data-state=canceled]")).to_be_visible()
    page.get_by_role("navigation").get_by_role("link", name="Videos").click()
    meta = page.locator(f"[data-job='{job}'] .card-meta")
    expect(meta).to_contain_text("just now")
    assert meta.evaluate("it => it.scrollWidth <= it.clientWidth")
