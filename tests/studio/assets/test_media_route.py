"""The media route on a real server: ranges, conditions, signatures, and memory that stays flat."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from studio import media
from studio.assets.serve import Unsatisfiable, parse_range
from tests.studio.servers import serving, sparse

GIGABYTE = 1024**3
MEGABYTE = 1024**2
CONTENT = bytes(range(256)) * 40  # 10,240 bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    (folder / "w" / "a").mkdir(parents=True)
    (folder / "w" / "a" / "video.mp4").write_bytes(CONTENT)
    sparse(folder / "w" / "a" / "large.mp4", GIGABYTE)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    with serving("studio.asgi:application", AQ_MEDIA_DIR=str(folder)) as started:
        yield started


@pytest.fixture(scope="module")
def http(server: tuple[str, psutil.Process]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server[0]) as client:
        yield client


@pytest.fixture
def read(http: httpx.Client) -> Callable[..., httpx.Response]:
    def get(method: str = "GET", file: str = "w/a/video.mp4", name: str = "lamp.mp4", **headers: str) -> httpx.Response:
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        return http.request(method, media.signed_url(file, name), headers=names)

    return get


Read = Callable[..., httpx.Response]


def test_the_whole_file(read: Read) -> None:
    answer = read()
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"].startswith("private, max-age=")


def test_head_says_the_same_without_the_file(read: Read) -> None:
    answer = read("HEAD")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", str(len(CONTENT)))


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=10000-", 10000, 10239),
        ("bytes=-40", 10200, 10239),
        ("bytes=-99999", 0, 10239),
        ("bytes=10000-99999", 10000, 10239),
    ],
)
def test_a_part(read: Read, asked: str, first: int, last: int) -> None:
    answer = read(range=asked)
    assert (answer.status_code, answer.content) == (206, CONTENT[first : last + 1])
    assert answer.headers["content-range"] == f"bytes {first}-{last}/10240"
    assert answer.headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize("asked", ["bytes=10240-", "bytes=99999-100000", "bytes=-0", "bytes=99999999999999999999-"])
def test_a_part_that_is_not_there(read: Read, asked: str) -> None:
    answer = read(range=asked)
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */10240")


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=5-2", "lines=1-2", "bytes=", "bytes=-", "bytes=a-b", "٣"])
def test_a_range_that_makes_no_sense_is_ignored(asked: str) -> None:
    assert parse_range(asked, 10240) is None


def test_an_empty_file_has_no_parts() -> None:
    with pytest.raises(Unsatisfiable):
        parse_range("bytes=0-", 0)


def test_several_ranges_get_the_whole(read: Read) -> None:
    assert read(range="bytes=0-1,5-6").status_code == 200


def test_what_the_browser_has_is_not_sent_again(read: Read) -> None:
    etag = read("HEAD").headers["etag"]
    fresh = read(if_none_match=f'"old", {etag}')
    assert (fresh.status_code, fresh.content, fresh.headers["etag"]) == (304, b"", etag)
    assert read(if_none_match='"another"').status_code == 200
    assert read(if_modified_since=read("HEAD").headers["last-modified"]).status_code == 304
    for no_date in ("not a date", "Mon, 01 Jan 99999999999 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 +99999999999999"):
        assert read(if_modified_since=no_date).status_code == 200


def test_a_part_of_another_version_gets_the_whole(read: Read) -> None:
    head = read("HEAD").headers
    assert read(range="bytes=0-9", if_range=head["etag"]).status_code == 206
    assert read(range="bytes=0-9", if_range=head["last-modified"]).status_code == 206
    assert read(range="bytes=0-9", if_range='"another"').status_code == 200
    assert read(range="bytes=0-9", if_range=f"W/{head['etag']}").status_code == 200


def test_a_download_is_named(http: httpx.Client) -> None:
    shown = http.get(media.signed_url("w/a/video.mp4", 'Lämpe "1".mp4'))
    saved = http.get(media.signed_url("w/a/video.mp4", "مصباح.mp4", download=True))
    assert shown.headers["content-disposition"].startswith('inline; filename="L_mpe _1_.mp4"')
    assert saved.headers["content-disposition"].startswith("attachment; ")
    assert "filename*=UTF-8''%D9%85" in saved.headers["content-disposition"]


def test_writing_is_not_allowed(read: Read) -> None:
    answer = read("POST")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_a_deleted_file_is_not_found(read: Read) -> None:
    assert (read(file="w/a/gone.mp4").status_code, read(file="w/a/gone.mp4").json()["code"]) == (404, "not_found")


def test_every_part_of_a_link_is_signed(http: httpx.Client) -> None:
    good = media.signed_url("w/a/video.mp4", "lamp.mp4")
    token, name = good.removeprefix("/media/").split("/")
    expires, mode, file, signature = token.split(".")
    later = f"{int(expires, 16) + 1:x}"
    altered = [
        f"{later}.{mode}.{file}.{signature}/{name}",
        f"{expires}.d.{file}.{signature}/{name}",
        f"{expires}.{mode}.{file[:-4]}AAAA.{signature}/{name}",
        f"{expires}.{mode}.{file}.{signature[:-2]}AA/{name}",
        f"{token}/other.mp4",
        f"{expires}.{mode}.{file}/{name}",
        "nonsense",
    ]
    assert http.get(good).status_code == 200
    for link in altered:
        answer = http.get(f"/media/{link}")
        assert (answer.status_code, answer.json()["code"]) == (403, "link_invalid"), link


def test_a_link_of_another_secret_is_refused(http: httpx.Client, settings: object) -> None:
    settings.SECRET_KEY = "another"  # type: ignore[attr-defined]
    assert http.get(media.signed_url("w/a/video.mp4", "lamp.mp4")).status_code == 403


def test_a_link_ends_within_the_hour(http: httpx.Client) -> None:
    old = media.signed_url("w/a/video.mp4", "lamp.mp4", now=time.time() - 3601)
    answer = http.get(old)
    assert (answer.status_code, answer.json()["code"]) == (403, "link_expired")


def test_a_link_lasts_45_minutes_at_least_and_is_stable_for_a_while() -> None:
    begin = 1_800_000_000 // 900 * 900
    assert media.signed_url("f.mp4", "n", now=begin) == media.signed_url("f.mp4", "n", now=begin + 899)
    token = media.signed_url("f.mp4", "n", now=begin + 899).split("/")[2]
    assert media.open_link(token, "n", now=begin + 899 + 2700).file == "f.mp4"


def peak_growth(process: psutil.Process, work: Callable[[], None]) -> int:
    """By how many bytes the resident memory of a process grows at most while `work` runs."""
    before = process.memory_info().rss
    peak = before
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return peak - before


def test_memory_stays_flat_while_a_gigabyte_is_read_and_sought(server: tuple[str, psutil.Process]) -> None:
    address, process = server
    url = address + media.signed_url("w/a/large.mp4", "large.mp4")
    seen = 0

    def read_and_seek() -> None:
        nonlocal seen
        with httpx.Client() as client:
            with client.stream("GET", url) as answer:
                for piece in answer.iter_raw(MEGABYTE):
                    seen += len(piece)
            for place in range(0, GIGABYTE, 50 * MEGABYTE):
                part = client.get(url, headers={"Range": f"bytes={place}-{place + MEGABYTE - 1}"})
                assert part.status_code == 206 and len(part.content) == MEGABYTE
            middle = client.get(url, headers={"Range": f"bytes={GIGABYTE // 2}-{GIGABYTE // 2 + 3}"})
            assert middle.content == b"mark"

    growth = peak_growth(process, read_and_seek)
    assert seen == GIGABYTE
    assert growth < 24 * MEGABYTE


def test_the_measure_notices_a_route_that_is_not_flat(folder: Path) -> None:
    sparse(folder / "w" / "a" / "control.mp4", 128 * MEGABYTE)
    with serving("tests.studio.whole_file_server:application", AQ_MEDIA_DIR=str(folder)) as (address, process):
        url = address + media.signed_url("w/a/control.mp4", "control.mp4")
        growth = peak_growth(process, lambda: httpx.get(url))
    assert growth > 24 * MEGABYTE


def test_a_reader_who_goes_away_is_not_read_for(server: tuple[str, psutil.Process]) -> None:
    address, process = server
    url = address + media.signed_url("w/a/large.mp4", "large.mp4")
    before = process.io_counters().read_chars
    with httpx.stream("GET", url) as answer:
        next(answer.iter_raw(MEGABYTE))
    assert settled(lambda: process.io_counters().read_chars) - before < GIGABYTE // 2


def settled(measure: Callable[[], int]) -> int:
    """A figure that is still growing, once it has stopped for half a second."""
    last, since = measure(), time.monotonic()
    while time.monotonic() - since < 0.5:
        time.sleep(0.05)
        if (now := measure()) != last:
            last, since = now, time.monotonic()
    return last
