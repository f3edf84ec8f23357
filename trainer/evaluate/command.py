"""`python -m trainer evaluate BUNDLE --out DIR`: figures with their baselines on the terminal, a report to look at."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from trainer.evaluate.options import Options
from trainer.numbers import count


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    usual = Options()
    parser.add_argument("bundle", type=Path, help="the folder of a bundle")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    told = "also write the bundle to this new folder, with the figures in its card and its bundle.json"
    parser.add_argument("--into-card", type=Path, metavar="NEW", help=told)
    parser.add_argument("--dit", choices=("single", "multimodal"), default="single", help="of a bundle with both")
    parser.add_argument("--steps", type=count, help="denoising steps, to compare few with many (the bundle's own)")
    parser.add_argument("--scenes", type=count, default=usual.scenes, help=f"held-out scenes ({usual.scenes})")
    parser.add_argument("--clips", type=count, default=usual.clips, help=f"clips of the flow loss ({usual.clips})")
    parser.add_argument("--seeds", type=count, default=usual.seeds, help=f"draws of its noise ({usual.seeds})")
    searched = usual.training_scenes
    parser.add_argument("--training-scenes", type=count, default=searched, help=f"searched for copies ({searched})")
    parser.add_argument("--clip", type=Path, help="folder of a CLIP model")
    parser.add_argument("--arcface", type=Path, help="an IResNet of insightface as safetensors")
    parser.add_argument("--vbench", help="the program vbench, of an environment of its own")
    parser.add_argument("--threads", type=count, default=1, help="CPU threads of torch (1)")


def evaluate(options: argparse.Namespace) -> int:
    """Evaluate, print, write. ValueError says what is wrong with the bundle or the options."""
    import cv2  # seconds of imports, which the other commands do without
    import torch

    from engine.bundles import steps_of
    from engine.requests import ImageToVideo
    from trainer.evaluate import run
    from trainer.evaluate.card import check_card, with_evaluation
    from trainer.evaluate.makers import load_maker
    from trainer.evaluate.outside import load_judges
    from trainer.evaluate.report import write_report
    from trainer.evaluate.table import table_of

    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    judges = load_judges(options.clip, options.arcface, options.vbench)
    asked = Options(options.scenes, options.clips, options.seeds, options.training_scenes)
    maker = load_maker(options.bundle, options.dit, options.steps)
    if options.into_card:
        check_card(maker.bundle, options.into_card)
    made = run.evaluate(maker, options.out, asked, judges)
    write_report(made, options.out)
    Console(width=max(150, Console().width)).print(table_of(made.figures))
    print(f"{options.out / 'index.html'}")
    if options.into_card:
        steps = options.steps or steps_of(maker.bundle, ImageToVideo().steps)
        bundle = with_evaluation(maker.bundle, made, steps, options.into_card)
        print(f"{bundle.name} {bundle.version} {bundle.digest} in {bundle.path}")
    return 0
