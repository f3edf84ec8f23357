"""From a photo to a finished video, as a member does it: real studio, real engine, real Chromium."""

import re
from collections.abc import Callable
from pathlib import Path

import av
from playwright.sync_api import Page, expect

from engine.requests import output_size
from tests.e2e import steps

Visit = Callable[..., Page]


def test_photo_mask_brush_video_download(page: Page, tmp_path: Path) -> None:
    steps.upload(page, steps.draw_photo(tmp_path / "red jar.jpg"))
    automatic = steps.painted_share(page)

    steps.tool(page, "Brush")
    with page.expect_response(lambda answer: answer.url.endswith("/mask") and answer.request.method == "PUT") as saved:
        steps.drag(page, page.get_by_test_id("mask-layer"), (0.1, 0.05), (0.6, 0.05))
    assert saved.value.status == 200
    assert steps.painted_share(page) > automatic

    steps.tool(page, "Framing")
    steps.choose(page, "Format", "4:5")
    steps.choose(page, "Camera move", "Pan left")
    steps.make_it_quick(page)
    page.get_by_label("Seed", exact=True).fill("4711")
    steps.generate(page)

    expect(page.get_by_test_id("live-progress")).to_contain_text(re.compile(r"\d+ %"))
    video = steps.finished_video(page)
    assert (steps.setting(page, "Format"), steps.setting(page, "Seed")) == ("4:5", "4711")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", steps.setting(page, "Digest"))

    steps.comes_true(lambda: video.evaluate("video => video.currentTime > 0.2"))
    page.keyboard.press("k")  # on a page where nothing was pressed yet
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    page.get_by_label("Seek", exact=True).fill("2.75")
    steps.comes_true(lambda: video.evaluate("video => video.paused && !video.seeking && video.currentTime > 2.7"))
    part = page.request.get(video.get_attribute("src") or "", headers={"Range": "bytes=100-199"})
    assert (part.status, len(part.body())) == (206, 100)

    with page.expect_download() as download:
        page.get_by_role("link", name="Download MP4").click()
    kept = tmp_path / download.value.suggested_filename
    download.value.save_as(kept)
    assert kept.suffix == ".mp4"
    assert kept.read_bytes().index(b"moov") < kept.read_bytes().index(b"mdat")
    with av.open(kept) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == output_size("4:5", 540)
        assert stream.frames == 72

    page.get_by_role("button", name="Delete video").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete video").click()
    expect(page.get_by_text("The video was deleted")).to_be_visible()
    expect(page.locator("video")).to_have_count(0)
    job = steps.job_of(page)
    page.get_by_role("link", name="Videos").first.click()
    expect(page.locator(f"[data-job='{job}']")).to_contain_text("Deleted")


def test_undo_redo_and_reset_of_the_brush(page: Page, tmp_path: Path) -> None:
    steps.upload(page, steps.draw_photo(tmp_path / "jar.jpg"))
    automatic = steps.painted_share(page)
    page.keyboard.press("b")
    size = page.get_by_label("Size", exact=True)
    before = size.input_value()
    page.keyboard.press("]")
    assert int(size.input_value()) > int(before)
    page.keyboard.press("[")
    assert size.input_value() == before

    steps.drag(page, page.get_by_test_id("mask-layer"), (0.05, 0.05), (0.5, 0.05))
    steps.comes_true(lambda: steps.painted_share(page) > automatic)
    painted = steps.painted_share(page)
    page.keyboard.press("Control+z")
    steps.comes_true(lambda: steps.painted_share(page) == automatic)
    page.keyboard.press("Control+Shift+z")
    steps.comes_true(lambda: steps.painted_share(page) == painted)

    expect(page.get_by_text("Saving mask…")).to_have_count(0)
    page.reload()
    steps.see_mask(page)
    page.keyboard.press("b")
    steps.comes_true(lambda: abs(steps.painted_share(page) - painted) < 0.003)
    page.get_by_role("button", name="Back to the automatic mask").click()
    steps.comes_true(lambda: abs(steps.painted_share(page) - automatic) < 0.003)


def test_again_keeps_the_seed_vary_changes_it_and_settings_come_back(page: Page) -> None:
    steps.take_sample(page)
    steps.make_it_quick(page)
    page.get_by_label("Prompt").fill("قارورة 🧴 slow pan to the right")
    first = steps.generate(page)
    steps.finished_video(page)
    seed = steps.setting(page, "Seed")

    page.get_by_role("button", name="Again").click()
    page.wait_for_url(lambda url: first not in url)
    again = steps.job_of(page)
    steps.finished_video(page)
    assert steps.setting(page, "Seed") == seed

    page.get_by_role("button", name="Vary").click()
    page.wait_for_url(lambda url: again not in url)
    steps.finished_video(page)
    varied = steps.setting(page, "Seed")
    assert varied != seed

    page.get_by_role("button", name="Use these settings").click()
    expect(page.get_by_label("Seed", exact=True)).to_have_value(varied)
    expect(page.get_by_label("Prompt")).to_have_value("قارورة 🧴 slow pan to the right")


def test_cancel_while_it_runs_survives_reload(page: Page) -> None:
    steps.take_sample(page)
    steps.make_it_slow(page)
    job = steps.generate(page)
    expect(page.get_by_test_id("live-progress")).to_contain_text(re.compile(r"\d+ %"))

    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel video").click()
    expect(page.locator("article[data-state=canceled]")).to_be_visible()
    expect(page.locator("video")).to_have_count(0)

    page.reload()
    expect(page.locator("article[data-state=canceled]")).to_be_visible()
    page.get_by_role("link", name="Videos").first.click()
    expect(page.locator(f"[data-job='{job}']")).to_have_attribute("data-state", "canceled")


def test_preview_frames_and_queue_are_seen_in_a_second_browser(visit: Visit) -> None:
    here, there = visit("/"), visit("/videos")
    expect(there.get_by_role("heading", name="Videos", exact=True)).to_be_visible()
    steps.take_sample(here)
    steps.make_it_slow(here)
    running = steps.generate(here)
    expect(there.locator(f"[data-job='{running}']")).to_contain_text(re.compile(r"\d+ %"))

    here.go_back()
    steps.see_mask(here)
    waiting = steps.generate(here)
    expect(here.get_by_test_id("live-progress")).to_contain_text("Next in line")
    expect(there.locator(f"[data-job='{waiting}']")).to_contain_text("Next in line")

    there.locator(f"[data-job='{running}']").click()
    expect(there.get_by_alt_text("Preview of the video")).to_be_visible()
    there.get_by_role("button", name="Cancel").click()
    there.get_by_role("button", name="Cancel video").click()
    expect(here.get_by_test_id("live-progress")).to_contain_text(re.compile(r"\d+ %"))
    here.get_by_role("button", name="Cancel").click()
    here.get_by_role("button", name="Cancel video").click()
    expect(here.locator("article[data-state=canceled]")).to_be_visible()
