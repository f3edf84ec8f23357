"""Jobs over REST: asking, idempotency, reading, listing, cancelling, following."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from engine.bundles import write_bundle
from studio.assets.models import Asset
from studio.ids import new_id
from studio.jobs import services
from studio.jobs.errors import Failure
from studio.jobs.lease import claim, lease_of
from studio.jobs.models import Job
from studio.workspaces.models import Role, Workspace
from tests.studio.rest import Api, key_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_dir")]


@pytest.fixture
def photo(api: Api) -> dict[str, Any]:
    return api.photo()


def ask(api: Api, photo: dict[str, Any], **settings: Any) -> Any:
    return api.post("/jobs", {"kind": "image_to_video", "settings": {"asset_id": photo["id"], **settings}})


def videos() -> Any:
    return Job.objects.filter(kind="image_to_video")


def test_a_job_is_accepted_with_all_its_settings(api: Api, photo: dict[str, Any]) -> None:
    body = {
        "kind": "image_to_video",
        "settings": {"asset_id": photo["id"], "seconds": 4, "camera": {"move": "orbit-left", "strength": 0.7}},
        "metadata": {"campaign": "summer"},
    }
    answer = api.post("/jobs", body)
    job = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/api/v1/jobs/{job['id']}")
    assert job["settings"] == {
        "asset_id": photo["id"],
        "mask": "auto",
        "format": "9:16",
        "seconds": 4.0,
        "fps": 24,
        "short_side": 1080,
        "camera": {"move": "orbit-left", "strength": 0.7},
        "subject": {"motion": "auto", "strength": 0.6},
        "prompt": "",
        "seed": None,
        "steps": 12,
    }
    assert (job["state"], job["progress"], job["queue"], job["attempt"]) == ("queued", 0.0, {"position": 1}, 0)
    assert (job["metadata"], job["result"], job["error"]) == ({"campaign": "summer"}, None, None)
    assert job["source_asset"]["id"] == photo["id"]
    assert api.get(f"/jobs/{job['id']}").json() == job


def test_a_job_is_pinned_to_the_model_of_its_creation(api: Api, photo: dict[str, Any]) -> None:
    job, (model,) = ask(api, photo).json(), api.get("/models").json()["results"]
    assert job["model"] == {name: model[name] for name in ("name", "version", "digest")}
    assert job["model"]["digest"].startswith("sha256:")


@pytest.mark.parametrize(
    ("given", "field", "code"),
    [
        ({"seconds": 2.9}, "seconds", "greater_than_equal"),
        ({"seconds": 16}, "seconds", "less_than_equal"),
        ({"seconds": "NaN"}, "seconds", "finite_number"),
        ({"seconds": "long"}, "seconds", "float_parsing"),
        ({"seconds": None}, "seconds", "float_type"),
        ({"format": "3:2"}, "format", "literal_error"),
        ({"fps": 23}, "fps", "literal_error"),
        ({"camera": {"move": "spin"}}, "camera.move", "literal_error"),
        ({"camera": {"move": "static", "strength": 0}}, "camera.strength", "greater_than_equal"),
        ({"camera": "static"}, "camera", "model_type"),
        ({"prompt": "a" * 100_000}, "prompt", "string_too_long"),
        ({"seed": -1}, "seed", "greater_than_equal"),
        ({"seed": 2**31}, "seed", "less_than_equal"),
        ({"seed": 1.5}, "seed", "int_from_float"),
        ({"resolution": "8k"}, "resolution", "extra_forbidden"),
        ({"asset_id": "not-an-id"}, "asset_id", "uuid_parsing"),
    ],
)
def test_a_setting_out_of_bounds_is_told_by_name(
    api: Api, photo: dict[str, Any], given: dict[str, Any], field: str, code: str
) -> None:
    answer = ask(api, photo, **given)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert (error["field"], error["code"]) == (f"settings.{field}", code)
    assert error["detail"].endswith(".")
    assert not videos().exists()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"seconds": 16}, "Give 15 or less."),
        ({"camera": {"move": "static", "strength": 0}}, "Give 0.1 or more."),
        ({"seed": 2**31}, "Give 2147483647 or less."),
        ({"seconds": "long"}, "Give a number."),
        ({"seed": 1.5}, "Give a whole number."),
        ({"prompt": 5}, "Give a text, in quotation marks."),
        ({"camera": "static"}, "Give an object, in curly brackets."),
        ({"asset_id": "not-an-id"}, "Give an id as the studio writes it, a UUID."),
    ],
)
def test_what_is_wrong_with_a_setting_is_told_in_our_words(
    api: Api, photo: dict[str, Any], given: dict[str, Any], sentence: str
) -> None:
    (error,) = ask(api, photo, **given).json()["errors"]
    assert error["detail"] == sentence


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(api: Api, photo: dict[str, Any], number: str) -> None:
    body = json.dumps({"kind": "image_to_video", "settings": {"asset_id": photo["id"], "seconds": 5.5}})
    answer = api.post("/jobs", body.replace("5.5", number))
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] in ("malformed_request", "validation_failed")
    assert not videos().exists()


@pytest.mark.parametrize("number", ["1e400", "-1e400"])
def test_a_number_without_end_is_refused_wherever_it_stands(api: Api, photo: dict[str, Any], number: str) -> None:
    body = json.dumps({"kind": "image_to_video", "settings": {"asset_id": photo["id"]}, "metadata": {"x": [1, 5.5]}})
    answer = api.post("/jobs", body.replace("5.5", number))
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
    assert answer.json()["detail"] == "The number at metadata.x.1 is too large: send a smaller one."
    assert not videos().exists()


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"text"', "[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000])
def test_what_is_no_json_object_is_refused(api: Api, body: str) -> None:
    answer = api.client.post("/api/v1/jobs", body, content_type="application/json", headers=api.headers)
    assert answer.status_code in (400, 422)
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "read"),
    [("/jobs", "application/json"), ("/framings", "application/json"), ("/assets", "multipart/form-data")],
)
def test_another_content_type_is_told_what_is_read(api: Api, path: str, read: str) -> None:
    answer = api.client.post(f"/api/v1{path}", "a=1", content_type="text/csv", headers=api.headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer.json()["detail"].endswith(f"Send {read}.")


@pytest.mark.parametrize(
    "prompt", ["🎥 slowly 🌊 👩‍👩‍👧", "حرّك الكاميرا ببطء", "‮override‬", "a" * 2000, "'; DROP TABLE jobs_job; --"]
)
def test_any_text_is_a_prompt(api: Api, photo: dict[str, Any], prompt: str) -> None:
    answer = ask(api, photo, prompt=prompt)
    assert (answer.status_code, answer.json()["settings"]["prompt"]) == (202, prompt)


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800"])
def test_text_that_cannot_be_stored_is_refused(api: Api, photo: dict[str, Any], text: str) -> None:
    settings = f'{{"asset_id": "{photo["id"]}", "prompt": "a{text}b"}}'
    answer = api.post("/jobs", f'{{"kind": "image_to_video", "settings": {settings}}}')
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["field"], error["code"]) == (422, "settings.prompt", "unstorable_text")


def test_an_asset_of_another_workspace_looks_like_none(api: Api, foreign_api: Api, photo: dict[str, Any]) -> None:
    foreign = ask(foreign_api, photo)
    missing = ask(foreign_api, {"id": str(new_id())})
    assert foreign.status_code == 422
    assert foreign.json() == missing.json()
    assert foreign.json()["errors"][0]["field"] == "settings.asset_id"
    assert ask(api, photo).status_code == 202


def test_a_video_is_no_photo(api: Api, photo: dict[str, Any]) -> None:
    Asset.objects.update(kind="video")
    assert ask(api, photo).json()["errors"][0] == {
        "field": "settings.asset_id",
        "code": "not_found",
        "detail": "There is no photo with this id in your workspace. Upload it first.",
    }


@pytest.mark.parametrize("kind", ["product_mask", "avatar", ""])
def test_a_kind_that_is_not_offered_is_refused(api: Api, photo: dict[str, Any], kind: str) -> None:
    answer = api.post("/jobs", {"kind": kind, "settings": {"asset_id": photo["id"]}})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "kind")


def test_metadata_has_a_limit(api: Api, photo: dict[str, Any]) -> None:
    body = {"kind": "image_to_video", "settings": {"asset_id": photo["id"]}, "metadata": {"a": "b" * 5000}}
    assert api.post("/jobs", body).json()["errors"][0]["field"] == "metadata"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.REVIEWER])
def test_who_may_not_edit_may_read_but_not_ask_nor_cancel(
    api: Api, home: Workspace, photo: dict[str, Any], role: Role
) -> None:
    job, reader = ask(api, photo).json(), key_client(home, role)
    assert reader.get(f"/jobs/{job['id']}").status_code == 200
    assert ask(reader, photo).status_code == 403
    assert reader.post(f"/jobs/{job['id']}/cancel").status_code == 403


# --- idempotency ------------------------------------------------------------------------------------------------------


def keyed(api: Api, photo: dict[str, Any], key: str, **settings: Any) -> Any:
    body = {"kind": "image_to_video", "settings": {"asset_id": photo["id"], **settings}}
    return api.post("/jobs", body, {"Idempotency-Key": key})


def test_the_same_key_gives_the_same_job(api: Api, photo: dict[str, Any]) -> None:
    first, again = keyed(api, photo, "k"), keyed(api, photo, "k")
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert keyed(api, photo, "another").json()["id"] != first.json()["id"]
    assert videos().count() == 2


def test_the_same_key_for_another_request_is_refused(api: Api, photo: dict[str, Any]) -> None:
    keyed(api, photo, "k")
    answer = keyed(api, photo, "k", seconds=6)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert videos().count() == 1


def test_a_request_that_was_refused_does_not_use_up_its_key(api: Api, photo: dict[str, Any]) -> None:
    assert keyed(api, photo, "k", seconds=99).status_code == 422
    assert keyed(api, photo, "k", seconds=9).status_code == 202


def test_a_request_sent_again_gets_its_job_though_the_photo_is_gone(api: Api, photo: dict[str, Any]) -> None:
    first = keyed(api, photo, "k")
    Asset.objects.all().delete()
    again = keyed(api, photo, "k")
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert keyed(api, photo, "fresh").status_code == 422


@pytest.mark.parametrize(
    ("kind", "can", "asked_now"),
    [
        ("image_to_video", {"formats": ["1:1"]}, (422, None)),
        ("image_to_video", {"defaults": {"fps": 30}}, (202, 30)),
        ("text_to_video", {}, (422, None)),
    ],
)
def test_a_request_sent_again_gets_its_job_though_the_model_was_replaced(
    api: Api, photo: dict[str, Any], bundle: Path, kind: str, can: dict[str, Any], asked_now: tuple[int, int | None]
) -> None:
    first = keyed(api, photo, "k", format="9:16")
    write_bundle(bundle, name="other", version="2", kinds=(kind,), capabilities={kind: can}, provenance={})
    again = keyed(api, photo, "k", format="9:16")
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    fresh = keyed(api, photo, "fresh", format="9:16")  # the control: the new model is asked
    assert (fresh.status_code, fresh.json().get("settings", {}).get("fps")) == asked_now


def test_keys_of_two_workspaces_do_not_meet(api: Api, foreign_api: Api, photo: dict[str, Any]) -> None:
    first = keyed(api, photo, "k")
    second = keyed(foreign_api, foreign_api.photo(), "k")
    assert second.status_code == 202
    assert second.json()["id"] != first.json()["id"]


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_has_a_length(api: Api, photo: dict[str, Any], key: str) -> None:
    assert keyed(api, photo, key).json()["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("keys", "jobs"), [(["k"] * 12, 1), ([f"k{index}" for index in range(12)], 12)])
def test_twelve_requests_at_once_make_one_job_a_key(
    api: Api, photo: dict[str, Any], keys: list[str], jobs: int
) -> None:
    barrier, answers = threading.Barrier(len(keys)), []

    def send(key: str) -> None:
        mine = Api(Client(), api.headers)
        barrier.wait()
        answers.append(keyed(mine, photo, key))
        connection.close()

    threads = [threading.Thread(target=send, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == videos().count() == jobs


# --- reading ----------------------------------------------------------------------------------------------------------


def test_jobs_are_listed_newest_first_by_state_and_kind(api: Api, photo: dict[str, Any]) -> None:
    made = [ask(api, photo, seed=seed).json()["id"] for seed in range(3)]
    api.post(f"/jobs/{made[0]}/cancel")
    listed = [job["id"] for job in api.get("/jobs?kind=image_to_video").json()["results"]]
    assert listed == made[::-1]
    assert [job["id"] for job in api.get("/jobs?state=canceled").json()["results"]] == made[:1]
    assert api.get("/jobs?kind=product_mask").json()["results"][0]["result"] is None
    assert [job["id"] for job in api.get("/jobs?state=queued,canceled&kind=image_to_video").json()["results"]] == made[
        ::-1
    ]
    assert api.get("/jobs?kind=%00").json()["errors"][0]["code"] == "unstorable_text"
    assert api.get("/jobs?state=done").json()["errors"][0]["field"] == "state"


def test_a_list_holds_what_was_asked_for_unless_told_otherwise(api: Api, photo: dict[str, Any]) -> None:
    asked = ask(api, photo).json()["id"]
    assert [job["id"] for job in api.get("/jobs").json()["results"]] == [asked]
    assert [job["id"] for job in api.get("/jobs?state=queued").json()["results"]] == [asked]
    searched = api.get("/jobs?kind=product_mask,image_to_video").json()["results"]
    assert [job["kind"] for job in searched] == ["image_to_video", "product_mask"]


def test_a_list_of_jobs_costs_the_same_however_long_it_is(
    api: Api, photo: dict[str, Any], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ask(api, photo)
    with django_assert_num_queries(5):  # the key, its last use, the page, its assets, its places in the queue
        api.get("/jobs?kind=image_to_video")
    for seed in range(5):
        ask(api, api.photo(), seed=seed)
    with django_assert_num_queries(5):
        page = api.get("/jobs?kind=image_to_video").json()["results"]
    assert [job["queue"]["position"] for job in page] == [6, 5, 4, 3, 2, 1]
    assert len({job["source_asset"]["id"] for job in page}) == 6


def test_a_waiting_job_is_canceled_at_once_and_an_ended_one_stays(api: Api, photo: dict[str, Any]) -> None:
    job = ask(api, photo).json()
    canceled = api.post(f"/jobs/{job['id']}/cancel").json()
    assert (canceled["state"], canceled["queue"], canceled["cancel_requested"]) == ("canceled", None, True)
    assert api.post(f"/jobs/{job['id']}/cancel").json() == canceled


def test_a_running_job_is_asked_to_stop(api: Api, photo: dict[str, Any]) -> None:
    job = ask(api, photo).json()
    claim(new_id(), "engine")
    asked = api.post(f"/jobs/{job['id']}/cancel").json()
    assert (asked["state"], asked["cancel_requested"]) == ("running", True)


def test_a_failed_job_says_why(api: Api, photo: dict[str, Any]) -> None:
    job = ask(api, photo).json()
    running = claim(new_id(), "engine")
    assert running is not None
    services.fail(lease_of(running), Failure("disk_full", "Make room.", retryable=False))
    failed = api.get(f"/jobs/{job['id']}").json()
    assert (failed["state"], failed["error"]["code"]) == ("failed", "disk_full")


def test_events_are_read_from_any_place(api: Api, photo: dict[str, Any]) -> None:
    job = ask(api, photo).json()
    running = claim(new_id(), "engine")
    assert running is not None
    services.progress(lease_of(running), "denoise", 0.5, step=6, steps=12, eta_seconds=4.0)
    page = api.get(f"{job['urls']['events'].removeprefix('/api/v1')}").json()
    assert [(event["seq"], event["type"]) for event in page["results"]] == [
        (1, "queued"),
        (2, "started"),
        (3, "progress"),
    ]
    assert page["results"][2]["data"]["fraction"] == 0.5
    assert page["next_seq"] == 3
    assert api.get(f"/jobs/{job['id']}/events?after=3").json() == {"results": [], "next_seq": 3}
    assert api.get(f"/jobs/{job['id']}/events?after=-1").json()["errors"][0]["field"] == "after"
