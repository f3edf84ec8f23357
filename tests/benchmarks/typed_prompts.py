"""How many prompts are understood that no grammar made: `python tests/benchmarks/typed_prompts.py`

440 prompts in `typed_prompts/` as people type them, worded one by one by writers who saw neither our sentences nor each
other's, each with what it asks of the camera and of the product, "auto" for nothing; how strong, they do not tell.
Those of `tried.jsonl` were looked at while the grammar was written, those of `unseen.jsonl` were not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # run as a script, from anywhere
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]  # `engine` is ours

FOLDER = Path(__file__).parent / "typed_prompts"
SETS = ("tried", "unseen")


def shares(understood: Callable[[str], dict[str, str]], name: str) -> tuple[dict[str, float], list[str]]:
    """Of a set the share that is understood: what is asked of camera and of product, what is not, and all of a prompt;
    and the prompts that are not.
    """
    right, all_, missed = Counter[str](), Counter[str](), []
    for line in (FOLDER / f"{name}.jsonl").read_text().splitlines():
        row = json.loads(line)
        found = understood(row["prompt"])
        hits = {part: is_it(row[part], found.get(part, "auto")) for part in ("camera", "subject")}
        kinds = {f"{part} {'not asked' if row[part] == 'auto' else 'asked'}": hit for part, hit in hits.items()}
        for kind, hit in {**kinds, "whole": all(hits.values())}.items():
            right[kind] += hit
            all_[kind] += 1
        if not all(hits.values()):
            missed.append(f"{row['camera']} {row['subject']} -> {found}: {row['prompt']}")
    return {kind: right[kind] / all_[kind] for kind in sorted(all_)}, missed


def is_it(wanted: str, found: str) -> bool:
    """Where a prompt leaves the side open ("orbit-any"), either is right."""
    return found.startswith(wanted.removesuffix("any")) if wanted.endswith("-any") else found == wanted


def main() -> None:
    from engine.bundles import SHIPPED, read_bundle
    from engine.denoise import Denoiser

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=SHIPPED)
    parser.add_argument("--missed", action="store_true", help="print those that are not understood")
    options = parser.parse_args()
    denoiser = Denoiser(read_bundle(options.bundle))
    for name in SETS:
        found, missed = shares(denoiser.understood, name)
        print(name, ", ".join(f"{kind} {share:.1%}" for kind, share in found.items()))
        print(*(missed if options.missed else ()), sep="\n")


if __name__ == "__main__":
    main()
