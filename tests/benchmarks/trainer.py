"""The figures of the trainer: `make bench NAME=trainer`, or `python tests/benchmarks/trainer.py --only step --reduced`.

Each file of `trainer_parts` is a part, and its docstring says what it measures. The table is printed and
`build/bench/trainer.json` written. What needs a GPU is in `make bench-gpu`.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # run as a script, from anywhere
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]  # `trainer` is ours

from tests.benchmarks.parts import run  # noqa: E402

if __name__ == "__main__":
    sys.exit(run("trainer", __doc__, ("torch", "accelerate", "diffusers")))
