"""A model on disk: a folder with `bundle.json` and safetensors files.

`bundle.json` names the format version, what the model is and can do, how it was made, and the SHA-256 of every other
file. A reader verifies all of it before any weight is loaded. Torch-free.

Files lie flat in the folder. A manifest with `"layout": "diffusers"` has one folder a component (`transformer/...`), as
diffusers saves a pipeline; `engine.pretrained` makes and loads those. One with `"layout": "folders"` is of ours, with
the text encoder of such a pipeline in folders beside: see `engine.pretrained.t5`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

Layout = Literal["flat", "folders", "diffusers"]

FORMAT = "aquarius-bundle/1"
MANIFEST = "bundle.json"
ALLOWED_SUFFIXES = {".safetensors", ".json", ".md"}
TOKENIZER_FILES = {"merges.txt", "vocab.txt", "spiece.model", "tokenizer.model"}  # words and merges, no pickles
SHIPPED = Path(__file__).parent / "bundled" / "aquarius-nano"


class BundleError(ValueError):
    """A bundle that cannot be used, with a sentence that says why and what to do."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. `digest` identifies the manifest and through it every byte of the model."""

    path: Path
    name: str
    version: str
    kinds: tuple[str, ...]
    capabilities: dict[str, Any]
    digest: str
    files: dict[str, str]
    provenance: dict[str, Any] = field(default_factory=dict)
    layout: Layout = "flat"

    def file(self, name: str) -> Path:
        """Path of a file that the manifest lists; BundleError where it does not."""
        if name not in self.files:
            raise BundleError(f"The bundle {self.name} has no file {name}; it holds {', '.join(sorted(self.files))}.")
        return self.path / name

    @property
    def identity(self) -> dict[str, str]:
        """Name, version and digest: what a result is stamped with."""
        return {"name": self.name, "version": self.version, "digest": self.digest}


def read_bundle(path: Path | str, *, verify: bool = True) -> Bundle:
    """Read and verify the bundle in the folder `path`; BundleError says what is wrong.

    `verify=False` skips the digests of the files, for a caller that has verified this very folder before.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    files, layout = manifest["files"], manifest.get("layout", "flat")
    _refuse_unlisted(path, files, layout)
    for name, digest in files.items():
        _check_file(path, name, digest if verify else None, layout)
    return Bundle(
        path=path,
        name=manifest["name"],
        version=manifest["version"],
        kinds=tuple(manifest["kinds"]),
        capabilities=manifest["capabilities"],
        digest="sha256:" + sha256_of(path / MANIFEST),
        files=files,
        provenance=manifest["provenance"],
        layout=layout,
    )


def check_sees(bundle: Bundle) -> None:
    """BundleError for a motion model from before `models/relief` or `models/roundness`, with what to do about it."""
    sees = {"relief": "how far away things are", "roundness": "how round a product is"}
    lacking = [part for part in sees if f"{part}.json" not in bundle.files]
    if lacking:
        export, shipped = "python -m trainer export nano", "engine/bundled/aquarius-nano"
        commands = " && ".join(
            f"{export} --out {out} --{part} {shipped} --bundle {new} --version V"
            for part, out, new in zip(lacking, ("BUNDLE", "NEW"), ("NEW", "NEWER"), strict=False)
        )
        raise BundleError(
            f"The bundle {bundle.name} {bundle.version} does not see {' and '.join(sees[part] for part in lacking)}: "
            f"give it the shipped bundle's {' and '.join(lacking)} (`{commands}`), or those of a run, or "
            f"train on from it (`python -m trainer run nano --from BUNDLE`)."
        )


def write_bundle(
    path: Path | str,
    *,
    name: str,
    version: str,
    kinds: tuple[str, ...],
    capabilities: dict[str, Any],
    provenance: dict[str, Any],
    layout: Layout = "flat",
    digests: Mapping[str, str] | None = None,
) -> Bundle:
    """Write the manifest for the files that already lie in `path`, then read the bundle back, verified.

    `digests` are those of all its files, from a caller that has just computed them: they are not computed again.
    """
    path = Path(path)
    files = {name: sha256_of(path / name) for name in _present(path, layout)} if digests is None else dict(digests)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "version": version,
        "kinds": list(kinds),
        "capabilities": capabilities,
        "provenance": provenance,
        "files": files,
    }
    if layout != "flat":
        manifest["layout"] = layout
    temporary = path / f".{MANIFEST}.tmp"
    temporary.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    temporary.replace(path / MANIFEST)
    return read_bundle(path, verify=digests is None)


def sampling_of(bundle: Bundle) -> dict[str, float]:
    """How the bundle wants to be sampled: `shift` of the times, `guidance`; BundleError where it does not say.

    `steps` where it was distilled to a number of them: see `steps_of`. `temperature` is the deviation of the noise that
    a sample begins at, 1 where it is not given: below 1, samples keep nearer to the middle of what the model holds for
    likely.
    """
    sampling = bundle.capabilities.get("sampling")
    found = {"temperature": 1.0, **(sampling if isinstance(sampling, dict) else {})}
    for key in ("shift", "guidance", "temperature"):
        value = found.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise BundleError(f"The bundle {bundle.name} does not say how to sample: sampling.{key} is {value!r}.")
    steps = found.get("steps", 1)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise BundleError(f"The bundle {bundle.name} does not say how to sample: sampling.steps is {steps!r}.")
    return found


def steps_of(bundle: Bundle, usual: int) -> int:
    """Denoising steps where a request leaves them: those that the bundle was distilled to, or else the usual ones."""
    return int(sampling_of(bundle).get("steps", usual))


@contextmanager
def explained(bundle: Bundle, name: str) -> Iterator[None]:
    """Whatever goes wrong while a bundle's file is put to use is a BundleError: the file is foreign, not our code."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().splitlines()
        what = f"{type(error).__name__}: {' '.join(line.strip() for line in reason)[:300]}"
        raise BundleError(
            f"The bundle {bundle.name} cannot be used: {name} is not what its manifest says ({what}). Export it again."
        ) from error


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in blocks."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _read_manifest(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise BundleError(f"There is no model bundle at {path}: a bundle is a folder that holds {MANIFEST}.")
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except FileNotFoundError:
        raise BundleError(f"{path} is no model bundle: it holds no {MANIFEST}.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BundleError(f"{path / MANIFEST} is not readable JSON ({error}).") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise BundleError(f"{path / MANIFEST} has the format {found!r}; this engine reads {FORMAT!r}.")
    manifest.setdefault("provenance", {})
    types = {"name": str, "version": str, "kinds": list, "capabilities": dict, "files": dict, "provenance": dict}
    for key, expected in types.items():
        if not isinstance(manifest.get(key), expected):
            raise BundleError(f"{path / MANIFEST} needs {key!r} as a {expected.__name__}.")
    if manifest.get("layout", "flat") not in get_args(Layout):
        raise BundleError(f"{path / MANIFEST} has the layout {manifest['layout']!r}, which this engine does not know.")
    return manifest


def _present(path: Path, layout: Layout) -> list[str]:
    """What lies in the folder, but for the manifest and hidden files. A link to a folder counts as a file."""
    if layout == "flat":
        found = [p.name for p in path.iterdir()]
    else:
        found = []
        for parent, folders, files in os.walk(path):
            here = Path(parent)
            names = [*files, *(name for name in folders if (here / name).is_symlink())]
            found += [(here / name).relative_to(path).as_posix() for name in names]
    return sorted(name for name in found if not Path(name).name.startswith(".") and name != MANIFEST)


def _refuse_unlisted(path: Path, files: dict[str, str], layout: Layout) -> None:
    unlisted = sorted(set(_present(path, layout)) - set(files))
    if unlisted:
        raise BundleError(f"{path} holds files that its manifest does not list: {', '.join(unlisted)}. Remove them.")


def _check_file(path: Path, name: str, digest: str | None, layout: Layout) -> None:
    parts = name.split("/")
    deep = 1 if layout == "flat" else 2
    if len(parts) > deep or any(part in ("", ".", "..") or Path(part).name != part for part in parts):
        raise BundleError(f"The bundle names a file outside its folder: {name!r}.")
    is_text = layout != "flat" and parts[0].startswith("tokenizer") and parts[-1] in TOKENIZER_FILES
    if Path(name).suffix not in ALLOWED_SUFFIXES and not is_text:
        raise BundleError(f"The bundle holds {name}: weights are read as safetensors only. Convert it first.")
    file = path / name
    linked = file.is_symlink() or (len(parts) > 1 and file.parent.is_symlink())
    if linked or not file.is_file():
        raise BundleError(f"The bundle's file {name} is missing in {path}. Copy the bundle again.")
    if digest is not None and sha256_of(file) != digest:
        raise BundleError(f"The bundle's file {name} is damaged: its SHA-256 differs from the manifest. Copy it again.")
