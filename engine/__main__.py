"""The engine's command line: `python -m engine generate | plan | inspect | import | bench`.

A command is two functions in COMMANDS: one adds its options, one runs and gives what `--json` prints, or prints itself.
What a user did wrong is a ValueError: its sentence goes to standard error, and the exit code is 2.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from engine import events
from engine.commands import Options
from engine.commands.generate import add_generate, generate
from engine.commands.inspect import add_inspect, import_, inspect
from engine.commands.plan import add_plan, plan
from engine.pretrained.command import add_import
from engine.runtime.errors import GroupError

# What a shell reports for a fault that is not the user's, for wrong use, and for a command that Ctrl-C has ended.
FAILED, WRONG, CANCELED = 1, 2, 130
BENCHMARK = Path(__file__).parents[1] / "tests" / "benchmarks" / "engine.py"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m engine", description="Make videos, and say what it would take.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (add, run) in COMMANDS.items():
        command = commands.add_parser(name, help=(run.__doc__ or "").splitlines()[0])
        if name != "bench":  # whose options are the benchmark's own, and its result a file
            command.add_argument("--json", action="store_true", help="the result as JSON on standard output")
        add(command)
        command.set_defaults(run=run)
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "bench":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        return options.run(options) or 0
    except ValidationError as error:
        return _told(" ".join(f"{'.'.join(map(str, at['loc']))}: {at['msg']}." for at in error.errors()), WRONG)
    except (ValueError, OSError) as error:
        return _told(str(error), WRONG)
    except GroupError as error:
        return _told(f"{error} Nothing was written. Ask again, or with fewer ranks.", FAILED)
    except (events.Canceled, KeyboardInterrupt):
        return _told("Canceled. Nothing was written.", CANCELED)


def _told(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code


def add_bench(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Further options are the benchmark's own: tests/benchmarks/engine.py --help."


def bench(options: Options) -> int:
    """Run the engine's benchmark, where this is a checkout of the repository."""
    if not BENCHMARK.is_file():
        raise ValueError(f"The benchmark is not here ({BENCHMARK}): it is part of the repository, not of the package.")
    return subprocess.run([sys.executable, str(BENCHMARK), *options.rest], check=False).returncode


Command = tuple[Callable[[argparse.ArgumentParser], None], Callable[[Options], int | None]]
COMMANDS: dict[str, Command] = {
    "generate": (add_generate, generate),
    "plan": (add_plan, plan),
    "inspect": (add_inspect, inspect),
    "import": (add_import, import_),
    "bench": (add_bench, bench),
}

if __name__ == "__main__":
    sys.exit(main())
