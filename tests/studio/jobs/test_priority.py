"""A worker that lets others go first gets less of the processor than they do, though it leads a session of its own."""

import os
import subprocess
import sys

BUSY = """
import os, sys, time
from studio.jobs.priority import let_others_go_first
os.sched_setaffinity(0, {int(sys.argv[2])})
let_others_go_first(int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
until, used = time.monotonic() + 1.5, time.process_time()
while time.monotonic() < until:
    pass
print(time.process_time() - used)
"""


def test_who_lets_others_go_first_gets_less_of_a_processor():
    # given two busy processes that lead their sessions and share one processor
    processor = str(min(os.sched_getaffinity(0)))
    polite, usual = (_start(niceness, processor) for niceness in ("10", "0"))
    for process in (polite, usual):
        assert process.stdout.readline() == "ready\n"
    # when both want all of it
    for process in (polite, usual):
        process.stdin.write("\n")
        process.stdin.flush()
    seconds = [float(process.communicate(timeout=60)[0]) for process in (polite, usual)]
    # then the polite one gets the smaller part, which as equals it would not
    assert seconds[0] < 0.5 * seconds[1]


def test_a_process_that_leads_no_session_leaves_the_others_of_its_session_alone():
    # given a process of a session that is not its own, as one begun by hand in a terminal
    asks = "from studio.jobs.priority import AUTOGROUP, let_others_go_first as go\nimport os\n"
    shows = "print(AUTOGROUP.exists() and AUTOGROUP.read_text().strip())\n"
    # when it lets others go first
    told = subprocess.check_output(
        [sys.executable, "-c", f"{asks}{shows}go(7)\n{shows}print(os.nice(0))"], text=True, start_new_session=False
    ).splitlines()
    # then it is nice itself, and its session is what it was
    assert told[0] == told[1] and told[2] == str(os.nice(0) + 7)


def _start(niceness: str, processor: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", BUSY, niceness, processor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
