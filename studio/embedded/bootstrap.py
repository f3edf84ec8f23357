"""From a fresh clone to a running studio: environment, packages, page. Standard library only.

    python3 studio/embedded/bootstrap.py run       install what is missing, then `manage.py serve`
    python3 studio/embedded/bootstrap.py install   only install; `--dev` adds what tests and lint need

Each step leaves a stamp with the hash of what it was made from, so a second start skips it and needs no network.
"""

import argparse
import ctypes
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
FRONTEND = ROOT / "frontend"
CONSTRAINTS = ROOT / "constraints.txt"
OLDEST_PYTHON, OLDEST_NODE = (3, 11), (20, 19)
LAST_SECONDS = 10.0  # for a step that is told to end

# Megabytes to fetch: the wheels of constraints.txt for Linux x86-64, as pip reports them, rounded up. What torch brings
# with CUDA is not in there and is an estimate.
TORCH_WITH_CUDA, TORCH_FOR_CPU, PACKAGES, DEVELOPMENT, NODE, PAGE = 2900, 200, 280, 110, 65, 70


class Problem(Exception):
    """Something the user has to change; the sentence says what."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["run", "install"])
    parser.add_argument("--dev", action="store_true", help="also what `make test` and `make lint` need")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, leave)
    try:
        require_python()
        install(dev=asked.dev)
        if asked.action == "run":
            start()
    except Problem as problem:
        sys.exit(f"\n{problem}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"\nThis step failed with exit code {error.returncode}:\n  {' '.join(map(str, error.cmd))}")
    except KeyboardInterrupt:
        sys.exit("\nStopped. The next start goes on from here.")


def leave(number: int, frame: object) -> None:
    """On SIGTERM the steps are left as by an error, so that what runs in them is ended too."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what runs gets its time to end
    sys.exit(128 + number)


def require_python() -> None:
    if sys.version_info < OLDEST_PYTHON:
        raise Problem(
            f"Python 3.11 or later is needed; this is {platform.python_version()}. PYTHON=python3.11 make run"
        )
    if sys.platform not in ("linux", "darwin"):
        raise Problem("The studio runs on Linux and macOS. On Windows, run it in WSL.")


def install(*, dev: bool) -> None:
    extras = ["dev"] if dev else []
    packages = packages_step("dev" if dev else "run")
    modules = Step("node_modules", [FRONTEND / "package-lock.json"])
    page = Step("page", page_sources())
    needs_packages = not (packages.done() and PYTHON.is_file())
    needs_modules = not (modules.done() and (FRONTEND / "node_modules").is_dir())
    needs_page = not (page.done() and (FRONTEND / "dist" / "index.html").is_file())
    say_download_size(needs_packages, needs_modules and (needs_page or dev), dev)
    if needs_packages:
        make_venv()
        install_packages(extras)
        packages.finish()
        if dev:
            packages_step("run").finish()
    if needs_modules and (needs_page or dev):
        npm("ci", "--no-audit", "--no-fund")
        modules.finish()
    if needs_page:
        npm("run", "build")
        page.finish()


def start() -> None:
    """Become `manage.py serve`."""
    end_with_make()
    host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "8000"
    if not (port.isdigit() and 0 < int(port) < 65536):
        raise Problem(f"PORT={port} should be a number from 1 to 65535.")
    os.chdir(ROOT)
    os.execv(PYTHON, [str(PYTHON), str(ROOT / "manage.py"), "serve", "--host", host, "--port", port])


# --- the steps ---


class Step:
    """What was made from which files, and by what, remembered beside the environment."""

    def __init__(self, name: str, sources: Iterable[Path], made_by: str = "") -> None:
        self._stamp = VENV / f"made-{name}"
        digest = hashlib.sha256(made_by.encode())
        for path in sources:
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
        self._wanted = digest.hexdigest()

    def done(self) -> bool:
        return self._stamp.is_file() and self._stamp.read_text() == self._wanted

    def finish(self) -> None:
        self._stamp.write_text(self._wanted)


def packages_step(name: str) -> Step:
    """Python's version is in this stamp alone: a new patch release must not fetch the page's modules again."""
    return Step(name, [ROOT / "pyproject.toml", CONSTRAINTS], made_by=platform.python_version())


def page_sources() -> list[Path]:
    made = {"node_modules", "dist", "coverage", "test-results", "playwright-report"}
    top = [path for path in sorted(FRONTEND.iterdir()) if path.name not in made and not path.name.startswith(".")]
    inside = [path for folder in top if folder.is_dir() for path in sorted(folder.rglob("*"))]
    return [path for path in top + inside if path.is_file()]


def say_download_size(needs_packages: bool, needs_modules: bool, dev: bool) -> None:
    sizes: dict[str, int] = {}
    if needs_packages:
        sizes.update(torch_size() if not installed("torch") else {})
        sizes["Python packages"] = PACKAGES + (DEVELOPMENT if dev else 0)
    if needs_modules:
        sizes.update({"Node, to build the page": NODE} if usable_node() is None else {})
        sizes["the page's npm packages"] = PAGE
    if not sizes:
        return
    print(f"To download, once: about {sum(sizes.values()):,} MB (less what pip and npm have cached)")
    for what, megabytes in sizes.items():
        print(f"  {megabytes:>6,} MB  {what}")
    if sizes.get(WITH_CUDA):
        print("  Without a CUDA device, TORCH_INDEX=URL make run takes PyTorch's smaller CPU build: see README.md")
    print(flush=True)


WITH_CUDA = "torch with CUDA"


def torch_size() -> dict[str, int]:
    if os.environ.get("TORCH_INDEX") or sys.platform == "darwin":
        return {"torch for CPU": TORCH_FOR_CPU}
    return {WITH_CUDA: TORCH_WITH_CUDA}


def make_venv() -> None:
    if PYTHON.is_file() and runs(PYTHON):
        return
    print("Making .venv", flush=True)
    try:
        venv.create(VENV, with_pip=True, clear=VENV.exists())
    except subprocess.CalledProcessError:
        raise Problem("Python cannot make a virtual environment. On Debian: apt-get install python3-venv") from None


def install_packages(extras: list[str]) -> None:
    """torch first, from TORCH_INDEX where given and without its dependencies, which come from the usual index."""
    index = os.environ.get("TORCH_INDEX")
    if index:
        pip("--index-url", index, "--no-deps", torch_pin())
    pip("-c", CONSTRAINTS, *requirements(extras))


def requirements(extras: list[str]) -> list[str]:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["dependencies"] + [line for name in extras for line in project["optional-dependencies"][name]]


def torch_pin() -> str:
    return next(line for line in CONSTRAINTS.read_text().splitlines() if line.startswith("torch=="))


def pip(*arguments: object) -> None:
    command = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *arguments]
    run(list(map(str, command)), cwd=ROOT)


def npm(*arguments: str) -> None:
    """Run npm in the frontend, with a Node of the machine or else the one from a wheel."""
    node = usable_node()
    if node is None:
        pip("-c", CONSTRAINTS, *requirements(["node"]))
        node = VENV / "bin" / "node"
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    run([str(node.parent / "npm"), *arguments], cwd=FRONTEND, env={**os.environ, "PATH": path})


def run(command: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> None:
    """Raises CalledProcessError. However this is left, the command is over: pip and npm end what they have started."""
    hold_sigterm()  # between its start and the `try` it would end us alone
    process = subprocess.Popen(command, cwd=cwd, env=env, preexec_fn=let_sigterm)
    try:
        let_sigterm()
        code = process.wait()
    finally:
        process.terminate()
        try:
            process.wait(LAST_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if code:
        raise subprocess.CalledProcessError(code, command)


def hold_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def let_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def usable_node() -> Path | None:
    """A Node with npm that is new enough: the machine's, or the wheel's from an earlier start."""
    for found in (shutil.which("node"), str(VENV / "bin" / "node")):
        if found and Path(found).is_file() and Path(found).with_name("npm").exists() and new_enough(found):
            return Path(found)
    return None


def new_enough(node: str) -> bool:
    done = subprocess.run([node, "--version"], capture_output=True, text=True)
    numbers = done.stdout.strip().removeprefix("v").split(".")
    return done.returncode == 0 and tuple(map(int, numbers[:2])) >= OLDEST_NODE


def installed(package: str) -> bool:
    return any(VENV.glob(f"lib/python3*/site-packages/{package}/__init__.py"))


def runs(python: Path) -> bool:
    """Whether it is new enough and has pip: a venv that was cut short in the making has a Python without."""
    check = [str(python), "-c", "import json, pip, sys; print(json.dumps(sys.version_info[:2]))"]
    done = subprocess.run(check, capture_output=True, text=True)
    return done.returncode == 0 and tuple(json.loads(done.stdout)) >= OLDEST_PYTHON


def end_with_make() -> None:
    """On Linux, have SIGTERM sent to this process when `make` is killed; it outlasts the exec that follows."""
    if sys.platform == "linux" and os.environ.get("MAKELEVEL"):
        ctypes.CDLL(None).prctl(1, int(signal.SIGTERM), 0, 0, 0)


if __name__ == "__main__":
    main()
