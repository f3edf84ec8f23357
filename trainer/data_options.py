"""The options of `trainer films`, `encode` and `published-mask`, apart from what does it: that imports models."""

from __future__ import annotations

import argparse
from pathlib import Path

from trainer.numbers import count

FILMS_SEED = 800_000_000  # not those of other banks


def add_encode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", help="a bundle of latent video, or a recipe that names one (--set encoder=BUNDLE)")
    parser.add_argument("--data", type=Path, required=True, help="shards of films, as `trainer films` writes them")
    parser.add_argument("--out", type=Path, required=True, help="folder for the derived shards")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the recipe")
    parser.add_argument("--minutes", type=float, help="pause after this long (exit status 3); the same call goes on")
    parser.add_argument("--threads", type=count, help="CPU threads of torch (1)")


def add_films(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--scenes", type=int, default=64, help="how many (64)")
    parser.add_argument("--motions", type=int, default=2, help="films of each scene (2)")
    told = "HEIGHTxWIDTH, several by commas: scenes take them in turn (64x64)"
    parser.add_argument("--sizes", default="64x64", help=told)
    parser.add_argument("--seed", type=int, default=FILMS_SEED, help=f"of the first scene ({FILMS_SEED})")


def add_published_mask(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("onnx", type=Path, help="the published weights, as an ONNX file")
    parser.add_argument("--out", type=Path, required=True, help="new folder for the bundle")
    parser.add_argument("--version", default="1.0.0", help="of the bundle (1.0.0)")
