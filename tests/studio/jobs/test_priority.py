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


def _start(niceness: str, processor: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", BUSY, niceness, processor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
