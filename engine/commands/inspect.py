"""`python -m engine inspect` and `import`: what is in a bundle, and a bundle from a diffusers directory."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.bundles import SHIPPED, Bundle, explained, read_bundle
from engine.commands import Options, print_json
from engine.pretrained.command import accelerations, import_model, in_lines, may_use
from engine.pretrained.directory import header_of

PARTS = {
    "single_dit": "data, cfg, ring, ulysses and tensor parallel; caches; sharded, offloaded or 8-bit weights",
    "multimodal_dit": "data, cfg, ring, ulysses and tensor parallel; caches; sharded, offloaded or 8-bit weights",
    "vae": "decoding over devices, or in strips on one",
}


def add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, nargs="?", default=SHIPPED, help="its folder; the shipped one by default")


def inspect(options: Options) -> None:
    """Verify a bundle and say what is in it, how it was made, and what may be done with its parts."""
    bundle = read_bundle(options.bundle)
    uses = may_use(bundle) if bundle.layout == "diffusers" else PARTS
    found: dict[str, Any] = {
        "name": bundle.name,
        "version": bundle.version,
        "digest": bundle.digest,
        "kinds": bundle.kinds,
        "parts": {name.removesuffix(".safetensors"): _part(bundle, name, uses) for name in _weights(bundle)},
        "sampling": bundle.capabilities.get("sampling"),
        "provenance": {name: bundle.provenance.get(name) for name in ("recipe", "data", "command", "commit")},
        "files": bundle.files,
    }
    if bundle.layout == "diffusers":
        found["accelerations"] = accelerations(bundle)
    if options.json:
        print_json(found)
        return
    print(f"{bundle.name} {bundle.version}, {bundle.digest}\nkinds: {', '.join(bundle.kinds)}")
    for name, part in found["parts"].items():
        print(f"{name}: {part['parameters']:,} parameters, {part['bytes']:,} bytes; {part['may_use']}")
    print("\n".join(f"{name}: {value}" for name, value in found["provenance"].items() if value))
    if bundle.layout == "diffusers":
        print(in_lines(found["accelerations"]))


def import_(options: Options) -> None:
    """Make a bundle from a diffusers directory on this machine."""
    found = import_model(options)
    if options.json:
        print_json(found)
        return
    print(f"{found['bundle']}: {found['name']}, {', '.join(found['kinds'])}\n{in_lines(found['accelerations'])}")


def _weights(bundle: Bundle) -> list[str]:
    return sorted(name for name in bundle.files if name.endswith(".safetensors"))


def _part(bundle: Bundle, name: str, uses: Mapping[str, str]) -> Mapping[str, Any]:
    """Parameters of a safetensors file, from its header alone."""
    path, part = bundle.file(name), name.removesuffix(".safetensors")
    with explained(bundle, name):
        parameters = sum(math.prod(tensor["shape"]) for tensor in header_of(path).values())
    return {
        "parameters": parameters,
        "bytes": path.stat().st_size,
        "sha256": bundle.files[name],
        "may_use": uses.get(part.split("/")[0], "one device"),
    }
