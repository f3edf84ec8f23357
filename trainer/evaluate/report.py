"""The report of an evaluation: one page with figures, plots, and films beside each other. No script, no network."""

from __future__ import annotations

from html import escape
from pathlib import Path

from trainer.evaluate.cases import BASELINES, EXACT, KINDS, OURS
from trainer.evaluate.figures import Figure
from trainer.evaluate.plots import legend_mark, loss_plot, strength_plot, strip
from trainer.evaluate.run import Evaluation
from trainer.evaluate.table import number

STYLE = Path(__file__).with_name("report.css")
MEANING = {
    OURS: "the bundle",
    "still frame": "the photo, held",
    "best homography": "the photo under the homography nearest to the exact motion: it knows the answer",
    "shuffled condition": "the bundle, asked another scene's wishes",
    "no condition": "the bundle without what the task shows it (of text to video: without words)",
    "mean video": "the mean of the other scenes' exact films",
    EXACT: "what a perfect model would make",
}


def write_report(made: Evaluation, out: Path) -> Path:
    """Write `out`/index.html for the films that lie in `out`/media."""
    page = out / "index.html"
    temporary = out / ".index.html.tmp"
    temporary.write_text(page_of(made))
    temporary.replace(page)
    return page


def page_of(made: Evaluation) -> str:
    name = escape(f"{made.bundle['name']} {made.bundle['version']}")
    measured = [figure for figure in made.figures if figure.ours is not None]
    missing = [figure for figure in made.figures if figure.ours is None]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Evaluation of {name}</title><style>{STYLE.read_text()}</style></head><body>
<header><p class="kicker">Evaluation</p><h1>{name}</h1>
<p class="lead">{_summary(measured)}</p>
<p class="how">{escape(_sentence(made.how))} {made.options.scenes} held-out scenes that training never draws. Digest
<code>{escape(made.bundle["digest"][:23])}</code>; {escape(made.machine)}.</p></header>
<section class="legend" aria-label="Legend">{"".join(_legend(kind) for kind in KINDS)}</section>
<section><h2>Figures</h2><p class="note">Better is always to the right; the band is the 95&nbsp;% interval.</p>
{"".join(_figure(figure) for figure in measured)}</section>
<section class="plots"><h2>What lies behind them</h2><div class="pair">
<figure>{loss_plot(made.losses)}<figcaption>Held-out flow loss by time; bands: range over the noise.</figcaption>
</figure>
{_strengths(made)}</div></section>
<section><h2>Films</h2><p class="note">The same photo, four ways. They play in a loop, without sound.</p>
{"".join(_example(example) for example in made.examples)}</section>
<section><h2>Not measured</h2><ul class="missing">{"".join(_missing(figure) for figure in missing)}</ul></section>
<footer>Made by <code>python -m trainer evaluate</code>; values: <a href="evaluation.json">evaluation.json</a>.</footer>
</body></html>
"""


def _summary(figures: list[Figure]) -> str:
    judged = [figure for figure in figures if figure.rival == "baselines" and figure.best_baseline]
    won, even, lost = (
        [figure.name.lower() for figure in judged if sign(_lead(figure))]
        for sign in (lambda lead: lead > 0, lambda lead: lead == 0, lambda lead: lead < 0)
    )
    said = f"Better than every baseline on {len(won)} of {len(judged)} figures."
    for names, words in ((even, "As good as the best of them on"), (lost, "A baseline does better on")):
        said += f" {words} {escape(', '.join(names))}." if names else ""
    return said


def _lead(figure: Figure) -> float:
    """By how much ours is better than the best baseline: 0 for as good, below 0 for worse."""
    best = figure.best_baseline
    assert best is not None and figure.ours is not None
    return figure.ours - best[1] if figure.better == "higher" else best[1] - figure.ours


def _legend(kind: str) -> str:
    return f"<div>{legend_mark(kind)}<span><b>{kind}</b> {MEANING[kind]}</span></div>"


def _figure(figure: Figure) -> str:
    between = (
        f'<span class="interval">{number(figure.low)} to {number(figure.high)}</span>'
        if figure.low is not None and figure.high is not None
        else ""
    )
    return f"""<article class="figure"><div class="what"><h3>{escape(figure.name)}</h3>
<p>{escape(figure.about)}</p></div>
<div class="line">{strip(figure)}{_values(figure)}</div>
<div class="ours"><strong>{number(figure.ours)}</strong> <span class="unit">{escape(figure.unit)}</span>{between}
{_verdict(figure)}</div></article>"""


def _values(figure: Figure) -> str:
    told = [
        f"<li>{legend_mark(kind)}{number(value)}</li>"
        for kind in (*BASELINES, EXACT)
        if (value := figure.values.get(kind)) is not None
    ]
    return f'<ul class="values">{"".join(told)}</ul>'


def _verdict(figure: Figure) -> str:
    if figure.rival == EXACT:
        exact = figure.values.get(EXACT)
        return "" if exact is None else f'<span class="verdict told">exact film {number(exact)}</span>'
    best = figure.best_baseline
    if best is None:
        return ""
    if _lead(figure) > 0:
        return '<span class="verdict won">beats every baseline</span>'
    if _lead(figure) == 0:
        return f'<span class="verdict told">as good as {best[0]}</span>'
    return f'<span class="verdict lost">{best[0]} does better: {number(best[1])}</span>'


def _strengths(made: Evaluation) -> str:
    if not made.strengths:
        return ""
    told = "Each dot is a film with a camera move; the dashed line is what was asked."
    return f"<figure>{strength_plot(made.strengths)}<figcaption>{told}</figcaption></figure>"


def _example(example: dict[str, object]) -> str:
    films = example["films"]
    assert isinstance(films, dict)
    number_ = f"{example['number']:02d}"
    shown = "".join(
        f'<figure class="{"mine" if kind == OURS else ""}"><video src="media/{name}.mp4" poster="media/{name}.jpg" '
        f"autoplay loop muted playsinline preload=metadata></video><figcaption>{kind}</figcaption></figure>"
        for kind, name in films.items()
    )
    stills = [("photo", "photo")] + ([("nearest", "nearest training clip")] if example["has_nearest"] else [])
    small = "".join(
        f'<figure><img src="media/{number_}-{name}.jpg" alt="" loading="lazy"><figcaption>{what}</figcaption></figure>'
        for name, what in stills
    )
    travel, fidelity, still = example["travel"], example["fidelity"], example["still"]
    went = f"goes {travel:.0%} of the asked way" if isinstance(travel, float) else "no camera move to measure"
    if isinstance(fidelity, float) and isinstance(still, float):
        went += f"; {fidelity:.1f} dB to the exact film, the still photo {still:.1f}"
    return f"""<article class="example"><h3>{escape(str(example["asked"]))}</h3>
<p>{escape(str(example["prompt"]))}
<span class="fact">{went}</span></p>
<div class="films">{shown}</div><div class="stills">{small}</div></article>"""


def _missing(figure: Figure) -> str:
    return f"<li><b>{escape(figure.name)}</b> {escape(figure.about)}</li>"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."
