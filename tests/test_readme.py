"""What README.md and CI promise exists: targets, commands, files, settings."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PEOPLE = re.findall(r"^    (create_\w+ .*|set_password .*|sign_in_link .*)$", README, re.MULTILINE)
NOT_IN_THE_TABLE = {  # for tests and for those who read the settings
    "AQ_BROKER_URL", "AQ_DEBUG", "AQ_FRONTEND_DIR", "AQ_HEARTBEAT_SECONDS", "AQ_LEASE_SECONDS", "AQ_LOG_LEVEL",
    "AQ_MEDIA_DIR", "AQ_RUN_SECONDS", "AQ_SECRET_KEY", "AQ_SIGN_IN_LINK_SECONDS",
}  # fmt: skip


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_make_target_that_is_named_exists() -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)\b", README)) - {"a"}
    assert {"run", "test", "test-full", "lint", "bench", "bench-gpu"} <= named
    assert named - targets() == set()


@pytest.mark.parametrize("target", sorted(targets()))
def test_every_target_is_a_line_that_make_understands(target: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", target], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", PEOPLE)
def test_every_command_about_people_is_one(line: str) -> None:
    assert len(PEOPLE) == 6
    name, *words = shlex.split(line, comments=True)
    load_command_class(get_commands()[name], name).create_parser("manage.py", name).parse_args(words)


def test_every_link_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) > 6
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_setting_is_explained_or_said_to_need_no_word() -> None:
    read = set(re.findall(r'env\.\w+\("(AQ_\w+)"', (ROOT / "studio" / "settings.py").read_text())) | {"AQ_SECRET_KEY"}
    told = {
        name for row in re.findall(r"^\| (`AQ_.*?) \|", README, re.MULTILINE) for name in re.findall(r"AQ_\w+", row)
    }
    assert told | NOT_IN_THE_TABLE == read
    assert told & NOT_IN_THE_TABLE == set()


def test_it_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) < 150


def test_ci_installs_a_browser_and_runs_the_readmes_commands() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "apt-get install" in script and "chromium" in script
    assert script.strip().splitlines()[-2:] == ["make test", "make lint"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
