"""What the page does when a session ends, an answer is lost or the server fails at one thing: nothing gets lost."""

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, Route, TimeoutError, WebSocketRoute, expect

from tests.e2e import steps

Visit = Callable[..., Page]
ASSET = re.compile(r"/api/v1/assets/[0-9a-f-]{36}$")
BROKEN = json.dumps({"status": 500, "code": "internal_error", "detail": "Something went wrong on our side."})


def break_down(route: Route) -> None:
    route.fulfill(status=500, content_type="application/problem+json", body=BROKEN)


def test_a_session_that_ended_leads_to_sign_in_and_back(visit: Visit) -> None:
    page = visit("/videos")
    expect(page.get_by_role("heading", name="Videos", exact=True)).to_be_visible()
    page.wait_for_load_state("networkidle")
    cookies = page.context.cookies()
    page.context.clear_cookies(name=re.compile("aq_session"))
    with contextlib.suppress(TimeoutError):  # a look of the page's own may have found out already
        page.get_by_role("link", name="Library").click(timeout=5000)
    expect(page.get_by_text("Your session has ended")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("API key")
    place = "Library" if page.url.endswith("/library") else "Videos"
    assert page.url.endswith(place.lower())

    # Signed in by a link in another tab: the next look at this one shows where it was.
    page.context.add_cookies(cookies)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))")
    expect(page.get_by_role("heading", name=place, exact=True)).to_be_visible()


@pytest.mark.full
def test_a_feed_that_throws_the_page_out_is_asked_ever_less_often(visit: Visit) -> None:
    page = visit("/library")
    opened: list[str] = []

    def refuse(socket: WebSocketRoute) -> None:
        opened.append(socket.url)
        socket.close(code=4403)

    page.route_web_socket(re.compile("/ws/v1/feed"), refuse)
    page.goto("/videos")
    expect(page.get_by_text("Reconnecting to the studio.")).to_be_visible()
    page.wait_for_timeout(6000)
    assert 2 <= len(opened) <= 8
    # The studio says that the session still holds, so the page stays what it is.
    expect(page.get_by_role("heading", name="Videos", exact=True)).to_be_visible()


def test_a_lost_answer_does_not_make_a_second_video(page: Page) -> None:
    steps.take_sample(page)
    steps.make_it_quick(page)
    made: list[str] = []

    def lose_the_answer(route: Route) -> None:
        if route.request.method != "POST":
            route.fallback()
            return
        made.append(route.fetch().json()["id"])
        break_down(route)

    page.route("**/api/v1/jobs", lose_the_answer)
    steps.press_generate(page)
    expect(page.get_by_text("No answer came")).to_be_visible()
    page.unroute("**/api/v1/jobs")
    assert steps.generate(page) == made[0]
    steps.finished_video(page)

    page.route("**/api/v1/jobs", lose_the_answer)
    page.get_by_role("button", name="Vary").click()
    expect(page.get_by_text("Something went wrong on our side.")).to_be_visible()
    page.unroute("**/api/v1/jobs")
    page.get_by_role("button", name="Vary").click()
    page.wait_for_url(f"**/videos/{made[1]}")


def test_the_answer_to_generate_finds_its_member_wherever_that_is(page: Page) -> None:
    steps.take_sample(page)
    steps.make_it_quick(page)
    steps.framing_is_known(page)
    framings: list[Route] = []
    page.route("**/api/v1/framings", lambda route: framings.append(route))
    steps.choose(page, "Format", "1:1")
    page.get_by_role("button", name="Generate").click()  # waits for the framing first
    page.get_by_role("navigation").get_by_role("link", name="Library").click()
    expect(page.get_by_text("Your video was started.")).to_be_visible()
    assert page.url.endswith("/library")
    page.unroute("**/api/v1/framings")
    for route in framings:
        with contextlib.suppress(Error):  # the page may have given it up
            route.abort()

    page.get_by_role("navigation").get_by_role("link", name="Create").click()
    steps.see_mask(page)
    jobs: list[Route] = []
    page.route(
        "**/api/v1/jobs", lambda route: jobs.append(route) if route.request.method == "POST" else route.fallback()
    )
    steps.press_generate(page)
    steps.comes_true(lambda: bool(page.wait_for_timeout(50) or jobs))
    steps.take_sample(page, 1)
    full = {"status": 507, "code": "disk_full", "detail": "The studio's disk is full. Ask its administrator."}
    jobs[0].fulfill(status=507, content_type="application/problem+json", body=json.dumps(full))
    expect(page.get_by_text("Nothing was started. The studio's disk is full.")).to_be_visible()


def test_a_photo_that_is_deleted_leaves_the_stage_also_when_its_member_was_faster(page: Page, tmp_path: Path) -> None:
    steps.upload(page, steps.draw_photo(tmp_path / "old jar.jpg", (300, 400)))
    page.get_by_role("navigation").get_by_role("link", name="Library").click()
    held: list[Route] = []
    page.route(ASSET, lambda route: held.append(route) if route.request.method == "DELETE" else route.fallback())
    page.get_by_role("button", name="Delete old jar.jpg").click()
    page.get_by_role("button", name="Delete photo").click()
    page.get_by_role("navigation").get_by_role("link", name="Create").click()
    expect(page.get_by_alt_text("old jar.jpg", exact=True).first).to_be_visible()
    steps.comes_true(lambda: bool(page.wait_for_timeout(50) or held))
    held[0].continue_()
    expect(page.get_by_text("Photo deleted")).to_be_visible()
    expect(page.locator(".stage img.photo")).to_have_count(0)


@pytest.mark.full
def test_the_editor_survives_an_error_in_the_background(page: Page) -> None:
    steps.take_sample(page)
    steps.tool(page, "Brush")
    before = steps.painted_share(page)
    steps.drag(page, page.get_by_test_id("mask-layer"), (0.05, 0.05), (0.5, 0.05))
    steps.comes_true(lambda: steps.painted_share(page) > before)
    page.route(re.compile("/api/v1/(models|assets)"), break_down)
    page.context.set_offline(True)
    page.context.set_offline(False)
    page.wait_for_timeout(4000)
    expect(page.get_by_test_id("mask-layer")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    steps.comes_true(lambda: steps.painted_share(page) == before)


@pytest.mark.full
def test_a_framing_that_fails_is_told_and_tried_again(visit: Visit) -> None:
    page = visit("/library")
    page.route("**/api/v1/framings", break_down)
    page.goto("/")
    page.locator("label.strip-photo").first.click()
    expect(page.get_by_text("The framing could not be worked out")).to_be_visible()
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    page.unroute("**/api/v1/framings")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_test_id("framing-window")).to_be_visible()
    expect(page.get_by_text("The framing could not be worked out")).to_have_count(0)


def test_a_photo_whose_address_has_ended_is_shown_at_its_next_one(visit: Visit) -> None:
    page = visit("/library")
    answers: list[str] = []

    def with_another_address(route: Route) -> None:
        asset = route.fetch().json()
        answers.append(asset["id"])
        asset["urls"]["content"] += f"?answer={len(answers)}"
        route.fulfill(json=asset)

    page.route("**/api/v1/assets/*", with_another_address)
    page.route("**/media/**?answer=1", lambda route: route.fulfill(status=403))
    page.goto("/")
    page.locator("label.strip-photo").first.click()
    photo = page.locator(".stage img.photo")
    steps.comes_true(lambda: photo.count() == 1 and photo.evaluate("image => image.naturalWidth > 0"))
    expect(photo).to_have_attribute("src", re.compile(r"\?answer=[2-9]"))


def test_a_refusal_goes_when_what_was_refused_is_changed(page: Page) -> None:
    error = {"field": "settings.prompt", "code": "string_too_long", "detail": "Shorten this."}
    body = {"status": 422, "code": "validation_failed", "detail": "Correct settings.prompt.", "errors": [error]}

    def refuse(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(status=422, content_type="application/problem+json", body=json.dumps(body))
        else:
            route.continue_()

    page.route("**/api/v1/jobs", refuse)
    steps.take_sample(page)
    steps.press_generate(page)
    expect(page.get_by_text("Prompt: Shorten this.")).to_be_visible()
    page.get_by_label("Length", exact=True).press("End")
    expect(page.get_by_text("Nothing was started")).to_have_count(0)


@pytest.mark.full
def test_all_photos_that_are_chosen_together_arrive(page: Page, tmp_path: Path) -> None:
    page.get_by_role("button", name="Choose a photo", exact=True).wait_for()
    before = page.locator("label.strip-photo").count()
    photos = [steps.draw_photo(tmp_path / f"jar {number}.jpg", (300 + number, 400)) for number in range(3)]
    page.locator("input[type=file]").last.set_input_files(photos)
    expect(page.locator("label.strip-photo")).to_have_count(before + 3)
    expect(page.locator(".stage img.photo")).to_have_attribute("alt", "jar 0.jpg")


def test_an_upload_that_does_not_end_can_be_given_up_for_the_photo_on_the_stage(page: Page, tmp_path: Path) -> None:
    steps.take_sample(page)
    held: list[Route] = []
    page.route(
        "**/api/v1/assets", lambda route: held.append(route) if route.request.method == "POST" else route.fallback()
    )
    page.locator("input[type=file]").last.set_input_files(steps.draw_photo(tmp_path / "jar.jpg", (300, 400)))
    expect(page.get_by_role("button", name="Uploading…")).to_be_disabled()
    page.get_by_role("button", name="Cancel uploading").click()
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    expect(page.locator(".strip-upload")).to_have_count(0)


@pytest.mark.full
def test_a_player_that_is_started_and_stopped_quickly_goes_on(page: Page) -> None:
    steps.take_sample(page)
    steps.make_it_quick(page)
    steps.generate(page)
    video = steps.finished_video(page)
    page.get_by_role("button", name=re.compile("Play|Pause")).focus()
    for _ in range(7):
        page.keyboard.press("k")
    video.evaluate("video => { video.load(); }")
    for _ in range(4):
        page.keyboard.press("k")
    page.wait_for_timeout(500)
    expect(page.get_by_text("could not play the video")).to_have_count(0)


@pytest.mark.parametrize("phone", [pytest.param(False, marks=pytest.mark.full), True])
def test_the_editor_and_a_video_need_no_sideways_scrolling(visit: Visit, phone: bool) -> None:
    page = visit("/", phone=phone)
    wide = 390 if phone else 1440
    steps.take_sample(page)
    assert page.evaluate("document.documentElement.scrollWidth") == wide
    steps.tool(page, "Brush")
    assert page.evaluate("document.documentElement.scrollWidth") == wide
    steps.make_it_quick(page)
    steps.generate(page)
    expect(page.get_by_test_id("live-progress").or_(page.locator("video"))).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == wide
    steps.finished_video(page)
    assert page.evaluate("document.documentElement.scrollWidth") == wide


@pytest.mark.full
def test_what_framing_costs_is_in_sight_with_generate_on_a_phone(visit: Visit) -> None:
    page = visit("/library", phone=True)
    notice = {"code": "strength_reduced", "message": "The camera moves at half the asked strength."}

    def with_notice(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "notices": [notice]})

    page.route("**/api/v1/framings", with_notice)
    page.goto("/")
    steps.take_sample(page)
    expect(page.get_by_text(notice["message"])).to_be_in_viewport(ratio=1)
    button = page.get_by_role("button", name="Generate").bounding_box()
    tabs = page.get_by_role("navigation").bounding_box()
    assert button is not None and tabs is not None
    assert button["y"] + button["height"] <= tabs["y"]
