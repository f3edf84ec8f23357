"""The figures of the datapipe: `make bench NAME=datapipe`, or `python tests/benchmarks/datapipe.py --reduced`.

Each file of `datapipe_parts` is a part, and its docstring says what it measures. The table is printed and
`build/bench/trainer.json` written.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # run as a script, from anywhere
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]  # `datapipe` is ours

from tests.benchmarks.parts import run  # noqa: E402

if __name__ == "__main__":
    sys.exit(run("datapipe", __doc__, ("numpy", "opencv-python-headless")))
