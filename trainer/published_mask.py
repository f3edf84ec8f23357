"""`python -m trainer published-mask FILE.onnx --out NEW`: the published weights of the small U2-Net as a bundle.

Of its authors (https://github.com/xuebinqin/U-2-Net, Apache-2.0). `export nano --mask NEW` puts them into a bundle of
nano, and `run nano --from NEW --stage bank --stage product_mask` learns on from them.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.bundles import Bundle
from engine.models.product_mask import ProductMask
from trainer.bundling import Card, check_new, write_model, write_whole
from trainer.record import code

DATA = "the automatic mask has the published weights of the small U2-Net, learnt from the photographs of DUTS"
COMMAND = ("python", "-m", "trainer", "published-mask")
ORIGIN = {
    "weights": "U2-Net, the small one (Qin et al., arXiv 2005.09007)",
    "source": "https://github.com/xuebinqin/U-2-Net",
    "licence": "Apache-2.0",
}


def run_published_mask(options: argparse.Namespace) -> int:
    bundle = published_mask(options.onnx, options.out, options.version)
    print(f"{bundle.name} {bundle.version} {bundle.digest} in {bundle.path}")
    return 0


def published_mask(onnx: Path, out: Path, version: str) -> Bundle:
    """Write the bundle. ValueError where `out` holds files, or `onnx` is no such network."""
    check_new(out)
    model = ProductMask()
    load_published(model, onnx)
    content = onnx.read_bytes()
    stage = {"steps": 0, "of": 0, "losses": {}, **ORIGIN, "sha256": hashlib.sha256(content).hexdigest()}
    provenance = {
        "command": shlex.join([*COMMAND, onnx.name, "--out", "MASK", "--version", version]),
        **code(),
        "seed": 0,
        "stages": {"product_mask": stage},
        "unfinished": [],
        "torch": torch.__version__,
        "data": DATA,
    }
    about = "The automatic product mask alone, with the weights that the authors of U2-Net have published."
    card = Card("u2net-small", ("product_mask",), {}, about)
    return write_whole(out, card, version, provenance, lambda made: write_model(made, "product_mask", model))


def load_published(model: ProductMask, path: Path) -> None:
    """Put the weights of an ONNX file into the model, convolution by convolution as a photo meets them: the file's
    norms are folded, so that it has no names for most of them. ValueError where they are not those of this network.
    """
    published, own = _published(path), _as_met(model)
    shapes = [(tuple(weight.shape), dilation) for weight, _, dilation in published]
    if shapes != [(tuple(layer.weight.shape), layer.dilation) for layer in own]:
        raise ValueError(
            f"{path} is not the small U2-Net: its {len(shapes)} convolutions are not those of this network."
        )
    with torch.no_grad():
        for layer, (weight, bias, _) in zip(own, published, strict=True):
            layer.weight.copy_(weight)
            assert layer.bias is not None
            layer.bias.copy_(bias)


def _as_met(model: ProductMask) -> list[nn.Conv2d]:
    """The model's convolutions in the order in which they run."""
    met: list[Any] = []
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    handles = [layer.register_forward_hook(lambda layer, *_: met.append(layer)) for layer in layers]
    with torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    for handle in handles:
        handle.remove()
    return met


def _published(path: Path) -> list[tuple[Tensor, Tensor, tuple[int, ...]]]:
    """Weight, bias and dilation of every convolution of an ONNX file, in the order of its graph."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise ValueError("Reading ONNX files takes the package onnx: `pip install onnx`, then try again.") from error
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # whatever protobuf says of a file that is none
        raise ValueError(f"{path} cannot be read as an ONNX file: {error}") from error
    values = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type == "Conv":
            if len(node.input) != 3 or not {*node.input[1:]} <= set(values):
                raise ValueError(
                    f"{path} is not the small U2-Net: {node.name or 'a convolution'} has no weight and bias."
                )
            told = {attribute.name: tuple(attribute.ints) for attribute in node.attribute}
            found.append((values[node.input[1]], values[node.input[2]], told.get("dilations", (1, 1))))
    return found
