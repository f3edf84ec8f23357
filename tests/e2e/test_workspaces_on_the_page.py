"""What the page shows when its member goes from one workspace to another, or is taken there."""

from collections.abc import Callable
from pathlib import Path

import httpx
from playwright.sync_api import Page, Route, expect

from tests.e2e import steps
from tests.studio.embedded.running import Studio

Visit = Callable[..., Page]
SECOND = {"id": "0190a000-0000-7000-8000-000000000000", "name": "Second", "role": "owner"}


def add_second_workspace(page: Page) -> list[dict[str, str]]:
    """The member's other workspaces, as the page hears of them when it next asks who they are."""
    others = [SECOND]
    # Once: the page asks again and again while the feed turns it away, also when the test is at its end.
    session = page.request.get("/api/v1/session").json()
    page.route(
        "**/api/v1/session",
        lambda route: route.fulfill(json={**session, "workspaces": [*session["workspaces"], *others]}),
    )
    return others


def show_second_workspace(page: Page) -> None:
    page.get_by_label("Account").click()
    page.get_by_text("Second", exact=True).click()


def test_who_loses_a_workspace_sees_nothing_of_it_in_the_next(visit: Visit) -> None:
    page = visit("/library")
    brand = {"id": "0190a000-0000-7000-8000-000000000001", "name": "Tidewater", "colours": [], "created_at": ""}
    held: list[Route] = []

    def brands(route: Route) -> None:
        if route.request.headers["x-workspace"] == SECOND["id"]:
            route.fulfill(json={"results": [brand], "next": None})
        else:
            held.append(route)

    others = add_second_workspace(page)
    page.route("**/api/v1/brands*", brands)
    page.goto("/")
    show_second_workspace(page)
    page.get_by_role("navigation").get_by_role("link", name="Brand").click()
    expect(page.get_by_text("Tidewater")).to_be_visible()

    others.clear()  # the feed of a workspace that is not theirs makes the page ask who they are
    expect(page.locator(".account-name")).not_to_have_text("Second")
    steps.comes_true(lambda: bool(page.wait_for_timeout(50) or held))
    assert page.get_by_text("Tidewater").count() == 0
    for route in held:
        route.continue_()


def test_photos_that_are_given_up_with_their_workspace_are_told_by_name(visit: Visit, tmp_path: Path) -> None:
    page = visit("/library")
    add_second_workspace(page)
    held: list[Route] = []
    page.route(
        "**/api/v1/assets", lambda route: held.append(route) if route.request.method == "POST" else route.fallback()
    )
    page.goto("/library")
    page.locator("input[type=file]").last.set_input_files(steps.draw_photo(tmp_path / "jar.jpg", (300, 400)))
    steps.comes_true(lambda: bool(page.wait_for_timeout(50) or held))
    show_second_workspace(page)
    expect(page.get_by_text("1 photo was not uploaded: “jar.jpg”.")).to_be_visible()


def test_an_api_key_is_shown_once_works_and_is_revoked(visit: Visit, studio: Studio) -> None:
    page = visit("/")
    page.get_by_label("Account").click()
    page.get_by_role("link", name="API keys").click()
    page.get_by_label("Name", exact=True).fill("web shop")
    page.get_by_label("Role", exact=True).select_option("viewer")
    page.get_by_role("button", name="Make a key").click()
    key = page.get_by_role("status").locator("code").inner_text()
    assets, bearer = f"http://127.0.0.1:{studio.port}/api/v1/assets", {"Authorization": f"Bearer {key}"}
    assert httpx.get(assets, headers=bearer).status_code == 200
    assert httpx.post(assets, headers=bearer).status_code == 403  # a viewer's key

    page.reload()
    expect(page.get_by_text("web shop")).to_be_visible()
    assert key not in page.content()
    page.get_by_role("button", name="Revoke web shop").click()
    page.get_by_role("button", name="Revoke key").click()
    expect(page.get_by_text("revoked", exact=True)).to_be_visible()
    assert httpx.get(assets, headers=bearer).status_code == 401

    page.get_by_label("Name", exact=True).fill("   ")
    page.get_by_role("button", name="Make a key").click()
    assert page.get_by_label("Name", exact=True).evaluate("input => input.validity.patternMismatch")
    page.get_by_label("Name", exact=True).fill("kiosk")
    page.get_by_role("button", name="Make a key").click()
    expect(page.get_by_text("The key of kiosk")).to_be_visible()
    page.get_by_role("button", name="Revoke kiosk").click()
    page.get_by_role("button", name="Revoke key").click()
    expect(page.get_by_text("The key of kiosk")).to_have_count(0)  # nobody keeps what works no more
