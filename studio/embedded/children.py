"""The processes of the running studio: started in groups of their own, restarted with back-off, ended together."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from studio.embedded import warden

PR_SET_PDEATHSIG = 1
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
HEALTHY_SECONDS = 60.0  # a child that ran this long starts its back-off anew
LOG_BYTES = 10 * 1024 * 1024
LOG_SECONDS = 60.0  # between looks at how long the logs are
LAST_SECONDS = 2.0  # for what a dead child had started: a worker's heartbeat gives its job back


def die_with_parent(sent: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` after which Linux sends `sent` to the child when the parent ends, `kill -9` included.

    None elsewhere: there the warden alone ends what a killed parent leaves.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # loaded before the fork: after it little is safe to call
    parent = os.getpid()

    def ask_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, int(sent), 0, 0, 0)
        if os.getppid() != parent:  # the parent ended before the call
            os._exit(1)

    return ask_kernel


@dataclass
class Child:
    """One process that should always run."""

    name: str
    command: Sequence[str]
    log: Path
    pass_fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    crashes: int = 0
    started: float = 0.0
    start_again: float = field(default=0.0)
    kill_rest: float | None = None  # when it has ended: the moment at which the rest of its group is killed

    def pause(self) -> float:
        """Seconds until the next start, after `crashes` crashes in a row."""
        return float(min(FIRST_PAUSE * 2 ** (self.crashes - 1), LONGEST_PAUSE))

    def log_tail(self, lines: int = 12) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Family:
    """The children and their warden. `watch()` is called often; `stop()` leaves nothing running."""

    def __init__(self, env: dict[str, str], cwd: Path, say: Callable[[str], None]) -> None:
        self._env, self._cwd, self._say = env, cwd, say
        self.children: list[Child] = []
        self._logs: set[Path] = set()
        self._look_at_logs = time.monotonic() + LOG_SECONDS
        self._warden = subprocess.Popen(
            [sys.executable, "-I", warden.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
            start_new_session=True,
        )

    def start(self, child: Child) -> None:
        self.children.append(child)
        self._launch(child)

    def guard(self, process: subprocess.Popen[bytes], sent: signal.Signals, log: Path) -> None:
        """Have the warden end a process group that is started elsewhere, with `sent`, and keep its log short."""
        self._logs.add(log)
        self._tell(f"+ {process.pid} {int(sent)}")

    def release(self, process: subprocess.Popen[bytes]) -> None:
        """The guarded process is over. Its number may soon be another program's, which is not the warden's to end."""
        self._tell(f"- {process.pid}")

    def watch(self) -> None:
        """Notice children that ended, and start them again when their pause is over. Keep all logs short."""
        now = time.monotonic()
        if now >= self._look_at_logs:
            self._look_at_logs = now + LOG_SECONDS
            for log in self._logs:
                keep_short(log)
        for child in self.children:
            if child.process is not None and child.process.poll() is not None:
                self._let_go(child, child.process, now)
            if child.process is None and now >= child.start_again:
                self._launch(child)

    def stop(self, grace: float) -> None:
        """SIGTERM to all at once; when they are over, at the latest after `grace` seconds, SIGKILL to what is left."""
        running = [child.process for child in self.children if child.process is not None]
        for process in running:
            process.terminate()
        until = time.monotonic() + grace
        for process in running:
            wait_until_over(process, until)
        for process in running:
            process.kill()
            process.wait()
        warden.end_groups({process.pid: 0 for process in running}, LAST_SECONDS)
        for child in self.children:
            child.process = None

    def dismiss(self) -> None:
        """The last step: nothing is left for the warden to end."""
        assert self._warden.stdin is not None
        self._warden.stdin.close()
        self._warden.wait(warden.GRACE_SECONDS + 2)

    def _launch(self, child: Child) -> None:
        child.log.parent.mkdir(parents=True, exist_ok=True)
        keep_short(child.log)
        self._logs.add(child.log)
        with child.log.open("ab") as log:
            child.process = subprocess.Popen(
                child.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._cwd,
                env=self._env,
                pass_fds=child.pass_fds,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        child.started = time.monotonic()
        self._tell(f"+ {child.process.pid} {int(signal.SIGKILL)}")

    def _let_go(self, child: Child, ended: subprocess.Popen[bytes], now: float) -> None:
        """Of a child that has ended, what it started itself may end by itself; then it is buried."""
        if child.kill_rest is None:
            child.kill_rest = now + LAST_SECONDS
        if now < child.kill_rest and warden.alive(ended.pid):
            return
        child.kill_rest = None
        self._bury(child, ended, now)

    def _bury(self, child: Child, ended: subprocess.Popen[bytes], now: float) -> None:
        warden.send(ended.pid, signal.SIGKILL)
        self._tell(f"- {ended.pid}")
        child.crashes = 1 if now - child.started > HEALTHY_SECONDS else child.crashes + 1
        child.start_again = now + child.pause()
        how = f"by signal {-ended.returncode}" if ended.returncode < 0 else "by itself"
        self._say(f"{child.name} ended {how}; it starts again in {child.pause():.1f} s. See {child.log}")
        child.process = None

    def _tell(self, line: str) -> None:
        assert self._warden.stdin is not None
        try:
            self._warden.stdin.write(line + "\n")
        except BrokenPipeError:
            self._say("The warden process was killed: after a kill -9 of this process, children may be left.")


def keep_short(log: Path) -> None:
    """Put the end of a log over LOG_BYTES aside as `NAME.1.log`, and empty it.

    Whoever writes it has it open to append, and so goes on at its new start. What is written in this very moment may
    be lost. On a full disk nothing is put aside.
    """
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size <= LOG_BYTES:
            return
        with contextlib.suppress(OSError), log.open("rb") as whole:
            whole.seek(-LOG_BYTES, os.SEEK_END)
            log.with_suffix(".1.log").write_bytes(whole.read(LOG_BYTES))
        os.truncate(log, 0)


def wait_until_over(process: subprocess.Popen[bytes], until: float) -> None:
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
