"""docker-compose.yml and the Dockerfile, read as Docker would: what they name exists, and the house's processes run."""

import re
import shlex
from importlib import import_module
from inspect import getsource
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
import uvicorn.config
import yaml
from django.core.management import get_commands, load_command_class
from uvicorn.middleware.proxy_headers import _TrustedHosts

from studio.embedded.supervisor import Plan, start_children

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.yml"
PROCESSES = {"web", "worker-engine", "worker-media", "sweeper"}
VARIABLE = re.compile(r"\$\{(\w+)(:-[^}]*|:\?[^}]+)?\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text())


def studio_services(compose: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in compose["services"].items() if one["image"] == "aquarius-studio"}


def test_it_runs_the_processes_of_the_house(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == PROCESSES | {"postgres", "migrate"}
    assert set(studio_services(compose)) == PROCESSES | {"migrate"}


def test_they_are_the_processes_of_the_one_command_start(tmp_path: Path) -> None:
    started: list[str] = []

    class Family:
        def start(self, child: Any) -> None:
            started.append(child.name)

    class Listener:
        def fileno(self) -> int:
            return 3

    plan = Plan(ROOT, tmp_path, "127.0.0.1", 8000, False, lambda: "/", [])
    start_children(Family(), plan, Listener())  # type: ignore[arg-type]
    assert set(started) == PROCESSES


def test_each_command_is_one_of_ours_with_options_that_it_takes(compose: dict[str, Any]) -> None:
    commands = [one["command"] for one in studio_services(compose).values() if "command" in one]
    assert len(commands) == 4
    for python, manage, name, *options in commands:
        assert (python, manage) == ("python", "manage.py")
        load_command_class(get_commands()[name], name).create_parser("manage.py", name).parse_args(options)


def test_the_image_starts_the_web_process() -> None:
    command = next(line for line in lines_of_dockerfile() if line.startswith("CMD "))
    program, application, *_ = yaml.safe_load(command.removeprefix("CMD "))
    module, name = application.split(":")
    assert program == "uvicorn"
    assert callable(getattr(import_module(module), name))


def test_the_image_is_built_by_the_steps_of_make_run() -> None:
    (built,) = [line for line in lines_of_dockerfile() if "bootstrap.py" in line]
    program = shlex.split(built)[2]
    assert (ROOT / program).is_file()
    assert "TORCH_INDEX" in (ROOT / program).read_text()


def lines_of_dockerfile() -> list[str]:
    return (ROOT / "Dockerfile").read_text().splitlines()


def test_settings_are_given_under_names_that_are_read(compose: dict[str, Any]) -> None:
    read = (ROOT / "studio" / "settings.py").read_text() + (ROOT / "studio" / "environment.py").read_text()
    read += getsource(uvicorn.config)
    given = {name for one in studio_services(compose).values() for name in one["environment"]}
    assert {name for name in given if f'"{name}"' not in read} == set()
    assert {"DATABASE_URL", "AQ_SECRET_KEY"} <= given


def test_whoever_sets_what_the_readme_tells_of_reaches_every_process(compose: dict[str, Any]) -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    passed = told - {"AQ_DATA_DIR", "DATABASE_URL"} | {"AQ_BROKER_URL"}  # whose places are the image's and the volume's
    assert {"AQ_BUNDLE", "AQ_ENGINE_MESH", "AQ_ENGINE_CACHE", "AQ_MAX_UPLOAD_BYTES"} <= passed
    for one in studio_services(compose).values():
        assert {name for name in passed if not one["environment"].get(name, "").startswith(f"${{{name}:-")} == set()


def test_a_setting_that_is_passed_empty_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = [name for name, given in VARIABLE.findall(COMPOSE.read_text()) if given == ":-"]
    assert "AQ_BUNDLE" in empty
    unset = settings_with(monkeypatch, dict.fromkeys(empty))
    assert settings_with(monkeypatch, dict.fromkeys(empty, "")) == unset


def settings_with(monkeypatch: pytest.MonkeyPatch, given: dict[str, str | None]) -> dict[str, Any]:
    """The studio's settings, read anew."""
    for name, value in given.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    return {name: value for name, value in run_path(str(ROOT / "studio" / "settings.py")).items() if name.isupper()}


def test_the_proxy_is_believed_and_each_of_its_visitors_counts_alone(compose: dict[str, Any]) -> None:
    given = compose["services"]["web"]["environment"]["FORWARDED_ALLOW_IPS"]
    believed = _TrustedHosts(given.removeprefix("${FORWARDED_ALLOW_IPS:-").removesuffix("}"))
    assert [bridge in believed for bridge in ("172.18.0.1", "192.168.80.1", "127.0.0.1")] == [True] * 3
    assert "203.0.113.7" not in believed
    assert believed.get_trusted_client_address("198.51.100.1, 203.0.113.7")[0] == "203.0.113.7"
    assert [port for one in compose["services"].values() for port in one.get("ports", [])] == [
        "127.0.0.1:${PORT:-8000}:8000"
    ], "whom it believes by their address alone has to be on this machine"


def test_secrets_have_no_default_and_everything_else_has() -> None:
    found = {name: given or "" for name, given in VARIABLE.findall(COMPOSE.read_text())}
    assert {name for name, given in found.items() if given.startswith(":?")} == {"POSTGRES_PASSWORD", "AQ_SECRET_KEY"}
    assert {name for name, given in found.items() if not given} == set()


def test_what_is_waited_for_and_mounted_exists(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        assert {volume.split(":")[0] for volume in service["volumes"]} <= set(compose["volumes"])
    assert "healthcheck" in compose["services"]["postgres"]
    assert compose["services"]["migrate"]["restart"] == "no"


def test_the_data_stay_when_a_container_goes(compose: dict[str, Any]) -> None:
    place = next(line.split("AQ_DATA_DIR=")[1].split()[0] for line in lines_of_dockerfile() if "AQ_DATA_DIR=" in line)
    assert all(f"data:{place}" in one["volumes"] for one in studio_services(compose).values())


def test_nothing_private_gets_into_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", "var", ".env"} <= set(ignored)
