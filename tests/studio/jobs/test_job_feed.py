"""The feed: nothing is missed, nothing comes twice, and nobody hears of another workspace."""

import asyncio
import uuid

import pytest

from studio.jobs import feed, hub, lease, services
from studio.jobs.feed import stream_events
from studio.jobs.subscription import Change, Subscription
from studio.workspaces.access import Actor
from studio.workspaces.models import Workspace
from tests.chaos.kinds import KIND, QUEUE
from tests.studio.jobs.conftest import MakeJob
from tests.studio.jobs.sockets import Socket, in_database, listener, next_of, running_job, seqs, tell

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300), pytest.mark.usefixtures("closed_hub")]


async def test_what_was_and_what_comes_in_order_and_once(member: Actor, make_job: MakeJob) -> None:
    job = await running_job(make_job)
    async with listener(member) as one:
        await one.say({"type": "watch", "jobs": {str(job.pk): 0}})
        first = await one.hear()
        assert [(event["seq"], event["type"]) for event in first["events"]] == [(1, "queued"), (2, "started")]
        await tell(job, 30)
        assert await seqs(one, 32) == list(range(3, 33))


async def test_a_client_that_comes_back_hears_what_it_missed(member: Actor, make_job: MakeJob) -> None:
    job = await running_job(make_job)
    await tell(job, 10)
    async with listener(member) as one:
        await one.say({"type": "watch", "jobs": {str(job.pk): 7}})
        assert await seqs(one, 12) == [8, 9, 10, 11, 12]


async def test_watching_while_events_pour_in_leaves_no_gap(member: Actor, make_job: MakeJob) -> None:
    job = await running_job(make_job)
    async with listener(member) as one:
        pouring = asyncio.create_task(tell(job, 60))
        await asyncio.sleep(0.02)
        await one.say({"type": "watch", "jobs": {str(job.pk): 0}})
        assert await seqs(one, 62) == list(range(1, 63))
        await pouring


async def test_a_change_that_was_not_pushed_is_read_from_the_log(member: Actor, make_job: MakeJob) -> None:
    job = await running_job(make_job)
    await tell(job, 3)
    async with hub.hub().subscription(member.workspace.pk) as subscription:
        subscription.watch(job.pk, 2)
        assert [event["seq"] for event in (await subscription.next(20))[0]["events"]] == [3, 4, 5]
        await tell(job, 3)
        subscription.offer(
            Change(job.pk, member.workspace.pk, KIND, QUEUE, "running", False, 8, [{"seq": 8, "type": "progress"}])
        )
        heard = [event["seq"] for message in await subscription.next(20) for event in message["events"]]
        assert heard[:3] == [6, 7, 8]


async def test_lists_hear_of_every_job_of_their_workspace_and_of_no_other(
    member: Actor, make_job: MakeJob, abroad: Workspace
) -> None:
    async with listener(member) as one:
        await one.say({"type": "watch_workspace"})
        await asyncio.sleep(0.2)
        await in_database(make_job)(abroad)
        mine = await in_database(make_job)()
        moved, changed = {"type": "queue_moved", "queue": QUEUE}, {"type": "job_changed", "job_id": str(mine.pk)}
        first = await one.hear()
        if (
            first == moved
        ):  # the other workspace's job has moved the queue that both wait in; or both moves are told as one
            first = await one.hear()
        assert first == {**changed, "kind": KIND, "state": "queued"}
        assert await one.hear() == moved
        assert await one.receive_nothing(0.3)


async def changes(one: Socket, until: str) -> list[str]:
    """The states that lists are told of, up to this one."""
    heard: list[str] = []
    while not heard or heard[-1] != until:
        message = await one.hear()
        if message["type"] == "job_changed":
            heard.append(message["state"])
    return heard


async def test_lists_hear_when_a_job_stands_otherwise_and_not_of_each_step(member: Actor, make_job: MakeJob) -> None:
    async with listener(member) as one:
        await one.say({"type": "watch_workspace"})
        await asyncio.sleep(0.2)
        job = await running_job(make_job)
        assert (await changes(one, "running"))[-1] == "running"
        await tell(job, 20)
        await in_database(services.cancel_job)(job)  # to be shown at once, though the job runs on
        await tell(job, 20)
        await in_database(services.stop)(lease.lease_of(job), worker_leaves=False)
        assert await changes(one, "canceled") == ["running", "canceled"]


async def test_who_waits_hears_that_the_queue_moved_and_nothing_of_whose_job_it_was(
    member: Actor, make_job: MakeJob, abroad: Workspace
) -> None:
    foreign, mine = await in_database(make_job)(abroad), await in_database(make_job)()
    async with listener(member) as one:
        await one.say({"type": "watch_workspace"})
        await asyncio.sleep(0.2)
        await in_database(services.cancel_job)(foreign)
        assert await one.hear() == {"type": "queue_moved", "queue": QUEUE}
        await in_database(make_job)(abroad)
        assert await one.hear() == {"type": "queue_moved", "queue": QUEUE}
        await in_database(services.cancel_job)(mine)
        assert (await one.hear())["job_id"] == str(mine.pk)
        await in_database(make_job)(abroad)
        assert await one.receive_nothing(1.5)  # nothing of mine waits


async def test_moves_are_told_once_a_second_and_the_last_is_not_lost() -> None:
    one = Subscription(uuid.uuid4(), read_nothing)
    one.watch_workspace()
    moved = [{"type": "queue_moved", "queue": QUEUE}]
    for _ in range(5):
        one.offer_move(QUEUE)
    assert await one.next(5) == moved
    one.offer_move(QUEUE)
    assert await one.next(5) == []
    assert await one.next(5) == moved


async def read_nothing(*_: object) -> None:
    return None


async def test_a_foreign_job_does_not_exist(member: Actor, make_job: MakeJob, abroad: Workspace) -> None:
    foreign = await in_database(make_job)(abroad)
    async with listener(member) as one:
        await one.say({"type": "watch", "jobs": {str(foreign.pk): 0}})
        answer = await one.hear()
        assert (answer["type"], answer["code"]) == ("error", "not_found")
        await in_database(services.cancel_job)(foreign)
        assert await one.receive_nothing(0.3)


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        '{"type": "fly"}',
        '{"type": "watch", "jobs": {"x": 0}}',
        '{"type": "watch", "jobs": {"00000000-0000-0000-0000-000000000001": -1}}',
        '{"type": "unwatch", "jobs": "all"}',
    ],
)
async def test_what_it_does_not_understand_it_says(member: Actor, text: str) -> None:
    async with listener(member) as one:
        await one.say_text(text)
        assert (await one.hear())["code"] == "invalid_message"
        await one.say({"type": "watch_workspace"})


async def test_a_connection_watches_so_many_jobs_and_those_that_ended_do_not_count(
    member: Actor, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_WATCHED", 1)
    first = await running_job(make_job)
    second = await in_database(make_job)()
    async with listener(member) as one:
        await one.say({"type": "watch", "jobs": {str(first.pk): 0}})
        assert await seqs(one, 2) == [1, 2]
        await one.say({"type": "watch", "jobs": {str(first.pk): 2, str(second.pk): 0}})
        refused = await next_of(one, "error")
        assert (refused["code"], refused["jobs"]) == ("too_many_jobs", [str(second.pk)])

        await in_database(services.stop)(lease.lease_of(first), worker_leaves=False)
        ended = await next_of(one, "events")
        assert (ended["job_id"], ended["events"][-1]["type"]) == (str(first.pk), "canceled")
        await one.say({"type": "watch", "jobs": {str(second.pk): 0}})
        assert (await next_of(one, "events"))["job_id"] == str(second.pk)


async def test_server_sent_events_end_with_the_job(member: Actor, make_job: MakeJob) -> None:
    job = await running_job(make_job)
    received: list[bytes] = []

    async def follow() -> None:
        async for piece in stream_events(member, job, after=1):
            received.append(piece)

    following = asyncio.create_task(follow())
    await tell(job, 2)
    await in_database(services.stop)(lease.lease_of(job), worker_leaves=False)
    await asyncio.wait_for(following, 20)
    assert [piece.split(b"\n")[0] for piece in received] == [b"id: 2", b"id: 3", b"id: 4", b"id: 5"]
    assert received[-1].split(b"\n")[1] == b"event: canceled"
    await in_database(job.refresh_from_db)()
    assert [piece async for piece in stream_events(member, job, after=5)] == []
    assert len([piece async for piece in stream_events(member, job, after=0)]) == 5
