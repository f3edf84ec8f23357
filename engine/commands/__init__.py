"""The commands of `python -m engine`: of each, what adds its options and what runs it."""

from __future__ import annotations

import argparse
import json
from typing import Any

Options = argparse.Namespace


def print_json(found: Any) -> None:
    print(json.dumps(found, indent=2, default=str))
