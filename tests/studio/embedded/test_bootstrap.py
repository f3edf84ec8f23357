"""The first minute: what is asked of the machine, what is said, and what a second start skips."""

import signal
import subprocess
import sys
import venv
from pathlib import Path

import psutil
import pytest

from studio.embedded import bootstrap


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty clone: nothing installed, nothing built."""
    for name, path in {"ROOT": "", "VENV": ".venv", "FRONTEND": "frontend", "CONSTRAINTS": "constraints.txt"}.items():
        monkeypatch.setattr(bootstrap, name, tmp_path / path)
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    (tmp_path / ".venv").mkdir()
    (tmp_path / "frontend" / "src").mkdir(parents=True)
    (tmp_path / "frontend" / "src" / "main.tsx").write_text("page")
    (tmp_path / "frontend" / "package-lock.json").write_text("{}")
    return tmp_path


def test_a_step_is_done_until_one_of_its_sources_changes(clone: Path) -> None:
    source = clone / "constraints.txt"
    source.write_text("torch==2.13.0\n")
    step = bootstrap.Step("run", [source])
    assert not step.done()
    step.finish()
    assert bootstrap.Step("run", [source]).done()
    source.write_text("torch==2.13.1\n")
    assert not bootstrap.Step("run", [source]).done()


def test_a_patch_release_of_python_is_no_reason_to_build_the_page_again(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pyproject.toml", "constraints.txt"):
        (clone / name).write_text("")
    (clone / "frontend" / "node_modules").mkdir()
    (clone / "frontend" / "dist").mkdir()
    (clone / "frontend" / "dist" / "index.html").write_text("page")
    (clone / ".venv" / "bin").mkdir()
    bootstrap.PYTHON.write_text("")
    done: list[str] = []
    monkeypatch.setattr(bootstrap, "make_venv", lambda: None)
    monkeypatch.setattr(bootstrap, "install_packages", lambda extras: done.append("packages"))
    monkeypatch.setattr(bootstrap, "npm", lambda *words: done.append(f"npm {words[0]}"))
    monkeypatch.setattr(bootstrap.platform, "python_version", lambda: "3.11.7")
    bootstrap.install(dev=False)
    assert done == ["packages", "npm ci", "npm run"]  # the control: nothing was made yet
    bootstrap.install(dev=False)
    assert done == ["packages", "npm ci", "npm run"]
    monkeypatch.setattr(bootstrap.platform, "python_version", lambda: "3.11.8")
    bootstrap.install(dev=False)
    assert done == ["packages", "npm ci", "npm run", "packages"]


def test_the_page_is_built_from_its_sources_and_not_from_what_was_made(clone: Path) -> None:
    (clone / "frontend" / "node_modules").mkdir()
    (clone / "frontend" / "node_modules" / "made.js").write_text("")
    (clone / "frontend" / "dist").mkdir()
    (clone / "frontend" / "dist" / "index.html").write_text("")
    names = {path.name for path in bootstrap.page_sources()}
    assert names == {"main.tsx", "package-lock.json"}


def test_the_download_is_told_before_it_begins(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bootstrap.say_download_size(needs_packages=True, needs_modules=True, dev=False)
    said = capsys.readouterr().out
    total = sum([bootstrap.TORCH_WITH_CUDA, bootstrap.PACKAGES, bootstrap.NODE, bootstrap.PAGE])
    assert f"about {total:,} MB" in said
    assert "TORCH_INDEX=URL make run" in said


def test_a_cpu_build_of_torch_is_counted_as_one(
    clone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_INDEX", "https://example.org/cpu")
    bootstrap.say_download_size(needs_packages=True, needs_modules=False, dev=False)
    assert f"about {bootstrap.TORCH_FOR_CPU + bootstrap.PACKAGES:,} MB" in capsys.readouterr().out


def test_nothing_is_said_when_nothing_is_missing(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bootstrap.say_download_size(needs_packages=False, needs_modules=False, dev=False)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("whole", "made_anew"), [(True, False), (False, True)])
def test_an_environment_that_was_cut_short_before_its_pip_is_made_anew(
    clone: Path, monkeypatch: pytest.MonkeyPatch, whole: bool, made_anew: bool
) -> None:
    """Without python3-venv, or after Ctrl-C, there is a Python that runs and no pip."""
    made: list[dict[str, object]] = []
    venv.create(clone / ".venv")
    if whole:
        (clone / ".venv" / "lib" / python_folder() / "site-packages" / "pip.py").write_text("")
    monkeypatch.setattr(bootstrap.venv, "create", lambda folder, **options: made.append(options))
    bootstrap.make_venv()
    assert made == [{"with_pip": True, "clear": True}] * made_anew


def python_folder() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def test_torch_alone_comes_from_its_index(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(bootstrap, "pip", lambda *arguments: calls.append(arguments))
    (clone / "constraints.txt").write_text("numpy==2.4.6\ntorch==2.13.0\n")
    (clone / "pyproject.toml").write_text('[project]\ndependencies = ["torch>=2.11", "numpy"]\n')
    monkeypatch.setenv("TORCH_INDEX", "https://example.org/cpu")
    bootstrap.install_packages([])
    assert calls == [
        ("--index-url", "https://example.org/cpu", "--no-deps", "torch==2.13.0"),
        ("-c", clone / "constraints.txt", "torch>=2.11", "numpy"),
    ]


def fake_node(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("node", "npm"):
        (folder / name).write_text(f"#!/bin/sh\necho {version}\n")
        (folder / name).chmod(0o755)
    return folder / "node"


@pytest.mark.parametrize(("version", "taken"), [("v20.19.0", True), ("v24.1.0", True), ("v20.18.3", False)])
def test_a_node_is_taken_when_it_is_new_enough(
    clone: Path, monkeypatch: pytest.MonkeyPatch, version: str, taken: bool
) -> None:
    node = fake_node(clone / "machine", version)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: str(node))
    assert (bootstrap.usable_node() == node) is taken


def test_the_wheels_node_serves_where_the_machine_has_none(clone: Path) -> None:
    assert bootstrap.usable_node() is None
    node = fake_node(clone / ".venv" / "bin", "v24.1.0")
    assert bootstrap.usable_node() == node


def test_an_old_python_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 10, 2))
    with pytest.raises(bootstrap.Problem, match=r"Python 3\.11 or later is needed"):
        bootstrap.require_python()


MAIN = """
import sys
from pathlib import Path
from studio.embedded import bootstrap
bootstrap.PYTHON, bootstrap.install = Path(sys.argv[1]), lambda dev: bootstrap.pip("torch")
sys.argv = ["bootstrap.py", "install"]
bootstrap.main()
"""


def test_sigterm_ends_the_step_that_runs(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho $$\nexec sleep 60\n")
    python.chmod(0o755)
    command = [sys.executable, "-c", MAIN, str(python)]
    root = Path(bootstrap.__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as first_start:
        assert first_start.stdout is not None
        pip = int(first_start.stdout.readline())
        assert psutil.pid_exists(pip), "the control: it runs"
        first_start.send_signal(signal.SIGTERM)
        assert first_start.wait(20) == 143
        assert not psutil.pid_exists(pip)


def test_a_step_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
        bootstrap.run([sys.executable, "-c", "raise SystemExit(3)"], cwd=tmp_path)
    bootstrap.run([sys.executable, "-c", ""], cwd=tmp_path)  # the control


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("PORT", port)
    with pytest.raises(bootstrap.Problem, match="from 1 to 65535"):
        bootstrap.start()


def test_it_runs_on_the_standard_library_alone() -> None:
    command = [sys.executable, "-I", "-S", bootstrap.__file__, "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_version_is_pinned() -> None:
    lines = [line for line in bootstrap.CONSTRAINTS.read_text().splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if line.count("==") != 1] == []
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    asked = {name(line) for line in bootstrap.requirements(["dev", "node"])}
    assert asked - pinned == set()
    assert "torch==2.13.0" in lines


def name(requirement: str) -> str:
    bare = requirement.split("[")[0]
    for mark in "<>=!~;":
        bare = bare.split(mark)[0]
    return bare.strip().lower().replace("_", "-")
