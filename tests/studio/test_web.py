"""What the web process answers beside the API: the page, its files, and the headers on everything."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from django.core.asgi import get_asgi_application
from django.test import Client

from studio.headers import HEADERS, secure_headers
from studio.static import static_files

SCRIPT = "console.log('hello');\n" * 200


@pytest.fixture
def built(tmp_path: Path, settings) -> Path:  # type: ignore[no-untyped-def]
    """A built page, small."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Studio</title>")
    (tmp_path / "assets" / "index-abc123.js").write_text(SCRIPT)
    (tmp_path / "icon.svg").write_text("<svg/>")
    (tmp_path.parent / "secret.txt").write_text("not for you")
    settings.AQ_FRONTEND_DIR = tmp_path
    return tmp_path


@pytest.fixture
async def browser(built: Path) -> AsyncIterator[httpx.AsyncClient]:
    application = secure_headers(static_files(built, otherwise=get_asgi_application()))  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app=application)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/videos/0198", "/settings?tab=keys"])
async def test_every_path_of_the_page_is_the_page(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path)
    assert answer.status_code == 200
    assert "<title>Studio</title>" in answer.text
    assert "csrftoken" in answer.cookies
    assert "no-store" in answer.headers["cache-control"]


async def test_hashed_files_are_kept_for_ever_and_compressed(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/assets/index-abc123.js")
    assert answer.text == SCRIPT
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    plain = await browser.get("/assets/index-abc123.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == SCRIPT


async def test_other_files_are_asked_for_again_and_cost_nothing(browser: httpx.AsyncClient) -> None:
    first = await browser.get("/icon.svg")
    assert first.headers["cache-control"] == "no-cache"
    again = await browser.get("/icon.svg", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_head_tells_the_length_and_sends_nothing(browser: httpx.AsyncClient) -> None:
    answer = await browser.head("/assets/index-abc123.js")
    assert answer.content == b""
    assert int(answer.headers["content-length"]) == len(gzip.compress(SCRIPT.encode(), mtime=0))


@pytest.mark.parametrize("path", ["/../secret.txt", "/assets/../../secret.txt", "/%2e%2e/secret.txt"])
async def test_nothing_beside_the_build_is_served(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path)
    assert "not for you" not in answer.text


async def test_a_rebuild_needs_no_restart(browser: httpx.AsyncClient, built: Path) -> None:
    assert "<title>" in (await browser.get("/assets/index-new.js")).text  # not there yet: the page itself
    (built / "assets" / "index-new.js").write_text("new")
    (built / "index.html").write_text("<title>Studio</title> again")
    assert (await browser.get("/assets/index-new.js")).text == "new"


@pytest.mark.parametrize("path", ["/", "/assets/index-abc123.js", "/api/v1/nothing"])
async def test_every_answer_has_the_security_headers(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path)
    assert {name.decode() for name in HEADERS} - set(answer.headers) == set()
    assert "unsafe" not in answer.headers["content-security-policy"]


async def test_an_unknown_api_path_is_a_problem_and_not_the_page(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/api/v1/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"


def test_without_a_build_the_page_says_how_to_make_one(settings, tmp_path: Path, client: Client) -> None:  # type: ignore[no-untyped-def]
    settings.AQ_FRONTEND_DIR = tmp_path / "none"
    answer = client.get("/")
    assert answer.status_code == 503
    assert "npm run build" in answer.content.decode()


def test_a_foreign_host_name_is_refused_and_does_not_fill_the_log(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    page = client.get("/", headers={"host": "evil.example"})
    assert (page.status_code, page.headers["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert "AQ_ALLOWED_HOSTS" in page.content.decode()
    answer = client.get("/api/v1/jobs", headers={"host": "evil.example"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert (answer.json()["code"], "AQ_ALLOWED_HOSTS" in answer.json()["detail"]) == ("unknown_host", True)
    assert caplog.records == []
