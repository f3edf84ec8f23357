"""No job is lost and none is finished twice, whoever is killed: workers, heartbeats, the sweeper, PostgreSQL."""

import time
from collections import Counter

import pytest

from tests.chaos.studio import ChaoticStudio

TERMINAL = ("succeeded", "failed", "canceled", "expired")

BROKEN = {
    "jobs that have not exactly one end": """
        SELECT job.id, job.state, count(event.id) FROM jobs_job job LEFT JOIN jobs_jobevent event
            ON event.job_id = job.id AND event.type IN ('succeeded', 'failed', 'canceled', 'expired')
        GROUP BY job.id, job.state HAVING count(event.id) <> 1 OR min(event.type) <> job.state""",
    "results that were published not exactly once, or under another fence": """
        SELECT job.id, job.fence, array_agg(published.fence) FROM jobs_job job
            LEFT JOIN chaos_published published ON published.job = job.id WHERE job.state = 'succeeded'
        GROUP BY job.id, job.fence HAVING array_agg(published.fence) <> ARRAY[job.fence]""",
    "results of jobs that did not succeed": """
        SELECT job FROM chaos_published JOIN jobs_job job ON job.id = job WHERE job.state <> 'succeeded'""",
    "logs with gaps": """
        SELECT job_id, count(*), max(seq) FROM jobs_jobevent GROUP BY job_id HAVING count(*) <> max(seq)""",
    "failures for another reason than lost workers": """
        SELECT id, error FROM jobs_job WHERE state = 'failed' AND error->>'code' <> 'worker_lost'""",
}


@pytest.mark.parametrize(
    ("jobs", "kills"),
    [
        pytest.param(16, 4, id="reduced", marks=pytest.mark.timeout(900)),
        pytest.param(200, 40, id="full", marks=[pytest.mark.full, pytest.mark.timeout(3600)]),
    ],
)
def test_every_job_ends_exactly_once(jobs: int, kills: int) -> None:
    with ChaoticStudio(seed=20) as studio:
        studio.manage("make_jobs", "--count", str(jobs), "--seed", "1")
        studio.keep_alive()
        killing_seconds = kill_many(studio, kills)
        waiting_seconds = wait_until_all_ended(studio)
        states = Counter(state for (state,) in studio.ask("SELECT state FROM jobs_job"))
        print(f"{dict(states)} after {Counter(studio.kills)}, {killing_seconds:.0f} s + {waiting_seconds:.0f} s")
        assert {what: rows for what, query in BROKEN.items() if (rows := studio.ask(query))} == {}, studio.log()
        assert sum(states.values()) == jobs
        assert states["succeeded"] > 0.8 * jobs


def kill_many(studio: ChaoticStudio, kills: int) -> float:
    """Kills while jobs run; a victim is replaced before the next one, as a supervisor would."""
    begun = time.monotonic()
    for _ in range(kills):
        wait_until_one_runs(studio)
        time.sleep(studio.choose.uniform(0.0, 0.5))
        studio.kill_someone()
        studio.keep_alive()
    return time.monotonic() - begun


def wait_until_one_runs(studio: ChaoticStudio) -> None:
    until = time.monotonic() + 180
    while not studio.ask("SELECT 1 FROM jobs_job WHERE state = 'running' AND lease_expires_at > now()"):
        if not studio.ask("SELECT 1 FROM jobs_job WHERE state IN ('queued', 'running')"):
            return
        assert time.monotonic() < until, f"nothing runs\n{studio.log()}"
        studio.keep_alive()
        time.sleep(0.05)


def wait_until_all_ended(studio: ChaoticStudio) -> float:
    begun = time.monotonic()
    while left := studio.ask("SELECT id, state FROM jobs_job WHERE state IN ('queued', 'running')"):
        assert time.monotonic() - begun < 600, f"never ended: {left}\n{studio.log()}"
        studio.keep_alive()
        time.sleep(0.2)
    return time.monotonic() - begun
