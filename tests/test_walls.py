"""The walls that imports cannot show: no torch in the web process, no signals, one place for environment and cuda."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK_TORCH = "import sys; sys.modules['torch'] = None; sys.modules['diffusers'] = None\n"
MEDIA = sorted(f"engine.media.{path.stem}" for path in (ROOT / "engine/media").glob("*.py") if path.stem != "__init__")
TORCH_FREE = ["engine", *(f"engine.{name}" for name in ("requests", "bundles", "events", "media", "options", "axes"))]
TORCH_FREE += [
    "engine.costs",
    "engine.timing",
    "engine.planner",
    "engine.__main__",
    "engine.cache.budget",
    "engine.reading",
]
TORCH_FREE += ["trainer.metrics", "trainer.plan.command", "datapipe.shards"]
WEB = """
import django
django.setup()
import studio.asgi
from django.urls import get_resolver
get_resolver().url_patterns
"""


def python_without_torch(code: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "studio.settings", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", BLOCK_TORCH + code]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT)


@pytest.mark.parametrize("module", TORCH_FREE)
def test_a_torch_free_module_is_imported_without_torch(module: str) -> None:
    done = python_without_torch(f"import {module}")
    assert done.returncode == 0, done.stderr


def test_every_module_of_media_is_imported_without_torch() -> None:
    assert "engine.media.compose" in MEDIA
    done = python_without_torch(f"import {', '.join(MEDIA)}")
    assert done.returncode == 0, done.stderr


def test_the_web_process_never_loads_torch() -> None:
    done = python_without_torch(WEB)
    assert done.returncode == 0, done.stderr


def test_the_block_blocks() -> None:
    """The control: what needs torch cannot be imported like this."""
    done = python_without_torch("import engine.generate")
    assert "torch" in done.stderr
    assert done.returncode != 0


# --- what the source may not say ---


def sources(*packages: str) -> Iterator[Path]:
    for package in packages:
        yield from sorted((ROOT / package).rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def uses_signals(tree: ast.AST) -> bool:
    return any(
        name.startswith("django.dispatch") or (name.startswith("django") and ".signals" in name)
        for name in imports(tree)
    )


def names_cuda(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Constant) and node.value == "cuda" for node in ast.walk(tree))


def reads_environment(tree: ast.AST) -> bool:
    read = {"os.environ", "os.getenv"}
    return any(isinstance(node, ast.Attribute) and ast.unparse(node) in read for node in ast.walk(tree))


def offenders(rule: Callable[[ast.AST], bool], *packages: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in sources(*packages) if rule(ast.parse(path.read_text()))}


def test_no_django_signals() -> None:
    assert offenders(uses_signals, "studio") == set()


def test_cuda_is_named_in_one_device_file_only() -> None:
    assert {path for path in offenders(names_cuda, "engine", "trainer") if "attention/" not in path} <= {
        "engine/device.py"
    }


def test_the_environment_is_read_in_one_place() -> None:
    """The bootstrap and the supervisor hand it on to the processes that they start."""
    passing_on = {f"studio/embedded/{name}.py" for name in ("bootstrap", "supervisor")}
    sets_its_default = {"studio/asgi.py", "studio/celery.py"}
    told_by_torchrun = {"trainer/ranks.py"}  # which restart this is: it says so nowhere else
    allowed = {"studio/environment.py"} | passing_on | sets_its_default | told_by_torchrun
    assert offenders(reads_environment, "studio", "engine", "datapipe", "trainer") - allowed == set()


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (uses_signals, "from django.db.models.signals import post_save"),
        (uses_signals, "from django.dispatch import receiver"),
        (names_cuda, "tensor.to('cuda')"),
        (reads_environment, "import os; os.environ['HOME']"),
        (reads_environment, "import os; os.getenv('HOME')"),
    ],
)
def test_each_rule_finds_what_it_forbids(rule: Callable[[ast.AST], bool], source: str) -> None:
    assert rule(ast.parse(source))
