"""The figures of an evaluation in a bundle: in its card, and in its manifest under `provenance.evaluation`.

A card is among what a bundle's digest identifies: with figures in it, it is another bundle, in a folder of its own.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.bundles import Bundle, read_bundle, write_bundle
from trainer.evaluate.cases import KINDS, OURS
from trainer.evaluate.figures import Figure
from trainer.evaluate.run import Evaluation
from trainer.evaluate.table import number
from trainer.record import code, environment

CARD, BEGIN, END = "README.md", "<!-- evaluation -->", "<!-- end of evaluation -->"


def check_card(bundle: Bundle, out: Path) -> None:
    """ValueError where figures cannot go into this bundle's card, or there is something at `out`: before they are
    measured.
    """
    if out.exists():
        raise ValueError(f"{out} is there already: the bundle with its figures goes to a new folder, name another.")
    if (CARD in bundle.files) and BEGIN in (card := bundle.file(CARD).read_text()) and END not in card:
        raise ValueError(f"The card in {bundle.path} has {BEGIN} without {END}: take its earlier figures out.")


def with_evaluation(bundle: Bundle, made: Evaluation, steps: int, out: Path) -> Bundle:
    """The bundle with these figures, of films in so many denoising steps, as the new folder `out`, whole or not at all.

    Figures that it had are replaced; every other file is the same. ValueError where `out` is there, or where the
    figures are another bundle's.
    """
    check_card(bundle, out)
    if made.bundle["digest"] != bundle.digest:
        raise ValueError(f"These figures are of {made.bundle['digest']}, and {bundle.path} is {bundle.digest}.")
    told = described(bundle, made, steps)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as name:
        folder = Path(name) / "bundle"
        folder.mkdir()
        for file in bundle.files:
            (folder / file).parent.mkdir(exist_ok=True)
            shutil.copyfile(bundle.file(file), folder / file)
        card = (folder / CARD).read_text() if CARD in bundle.files else f"# {bundle.name} {bundle.version}\n"
        (folder / CARD).write_text(card_with(card, told, made.figures))
        write_bundle(
            folder,
            name=bundle.name,
            version=bundle.version,
            kinds=bundle.kinds,
            capabilities=bundle.capabilities,
            provenance={**bundle.provenance, "evaluation": told},
            layout=bundle.layout,
        )
        folder.replace(out)
    return read_bundle(out)


def described(bundle: Bundle, made: Evaluation, steps: int) -> dict[str, Any]:
    """What stands in the manifest; `weights` is a digest of all that the bundle computes with."""
    return {
        "weights": weights_digest(bundle),
        "how": made.how,
        "steps": steps,
        "options": asdict(made.options),
        "machine": made.machine,
        "code": code(),
        "packages": environment()["packages"],
        "figures": [asdict(figure) for figure in made.figures],
    }


def weights_digest(bundle: Bundle) -> str:
    """Of the weights alone, whatever the card and the manifest say."""
    weights = {name: digest for name, digest in sorted(bundle.files.items()) if name.endswith(".safetensors")}
    return "sha256:" + hashlib.sha256(json.dumps(weights).encode()).hexdigest()


def card_with(card: str, told: dict[str, Any], figures: list[Figure]) -> str:
    """The card with these figures at its end, in the place of earlier ones."""
    before, _, rest = card.partition(BEGIN)
    after = rest.partition(END)[2]
    parts = [before.rstrip(), f"{BEGIN}\n{section_of(told, figures)}\n{END}", after.strip()]
    return "\n\n".join(part for part in parts if part) + "\n"


def section_of(told: dict[str, Any], figures: list[Figure]) -> str:
    """Figures beside their baselines, as Markdown; what is not measured is said."""
    measured = [figure for figure in figures if figure.ours is not None]
    kinds = [kind for kind in KINDS if any(figure.values.get(kind) is not None for figure in measured)]
    names = ["this bundle" if kind == OURS else kind for kind in kinds]
    head = ["figure", *names, "95 % interval", "unit", "better", "n"]
    rows = [_row(figure, kinds) for figure in measured]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
    commit = f"commit {told['code']['commit']}{' with changes' if told['code']['dirty'] else ''}"
    missing = ", ".join(figure.name for figure in figures if figure.ours is None)
    return (
        f"## Evaluation\n\n{told['options']['scenes']} held-out scenes that training never draws; {told['how']}, in "
        f"{told['steps']} steps. By `python -m trainer evaluate`\nat {commit}; {told['machine']}.\n\n{table}"
        + (f"\n\nNot measured: {missing}." if missing else "")
    )


def _row(figure: Figure, kinds: list[str]) -> list[str]:
    known = figure.low is not None and figure.high is not None
    interval = f"{number(figure.low)} to {number(figure.high)}" if known else ""
    told = [number(figure.values.get(kind)) for kind in kinds]
    return [figure.name, *told, interval, figure.unit, figure.better, str(figure.scenes or "")]
