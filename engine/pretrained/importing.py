"""A diffusers directory on disk becomes a bundle, without a second copy of its weights. Torch-free.

The bundle's files are hard links: they take no room, and neither folder may be edited in place afterwards, which
`read_bundle` would notice. Only what the pipeline needs is taken over.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.bundles import Bundle, BundleError, write_bundle
from engine.pretrained.directory import Directory, read_directory, read_json, real_file
from engine.pretrained.families import Native, capabilities_of, native_of, served

OnBytes = Callable[[int, int], None]
BLOCK = 8 << 20
NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK}  # a copy may still be made


def import_directory(
    source: Path | str,
    out: Path | str,
    *,
    name: str | None = None,
    native: dict[str, int] | None = None,
    copy: bool = False,
    on_bytes: OnBytes = lambda done, total: None,
) -> Bundle:
    """Make the bundle `out`, a new folder, from the diffusers directory `source`; whole or not at all.

    `native` overrides what the model makes by itself (`pixels`, `frames`, `fps`), for a checkpoint that was trained
    for another size than its family's usual one. `copy` copies the files, which another disk needs. `on_bytes` is told
    how many bytes of all have been hashed. BundleError says what is wrong with the directory, or with `out`.
    """
    source, out = Path(source), Path(out)
    if not source.is_dir():
        raise BundleError(f"There is no folder {source}: give the folder that holds the model's model_index.json.")
    directory = read_directory(source)
    made = _native(directory, native or {})
    if out.exists():
        raise BundleError(f"{out} is already there. Give the bundle a folder that does not exist yet.")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        for file in directory.files:
            _take(source, part, file, copy)
        bundle = write_bundle(
            part,
            name=name or source.resolve().name,
            version=str(directory.index.get("_diffusers_version", "unknown")),
            kinds=tuple(served(directory.family, directory.index)),
            capabilities=capabilities_of(directory.family, directory.index, made, _shift(directory)),
            provenance={"imported": source.resolve().name, "command": "python -m engine import"},
            layout="diffusers",
            digests=_digests(part, directory.files, on_bytes),
        )
        part.replace(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return Bundle(**{**bundle.__dict__, "path": out})


def _native(directory: Directory, given: dict[str, int]) -> Native:
    try:
        native = native_of(directory.family, directory.index, directory.configs)
        return Native(**{**native.__dict__, **given, "size": None if given.get("pixels") else native.size})
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise BundleError(f"{directory.path} cannot be used. {error}") from None


def _shift(directory: Directory) -> float:
    """Of the times, as the scheduler's own configuration says; it is reported, and stays as it is."""
    config = read_json(directory.path, "scheduler/scheduler_config.json")
    found = config.get("flow_shift", config.get("shift", 1.0))
    return float(found) if isinstance(found, int | float) and found > 0 else 1.0


def _take(source: Path, part: Path, name: str, copy: bool) -> None:
    real, target = real_file(source, name), part / name
    target.parent.mkdir(exist_ok=True)
    try:
        if copy:
            shutil.copyfile(real, target)
        else:
            target.hardlink_to(real)
    except OSError as error:
        if error.errno in NO_LINKS and not copy:
            raise BundleError(
                f"The files of {source} cannot be shared with {part.parent} ({error.strerror}). "
                "Choose a folder on the same disk, or have the files copied with --copy."
            ) from None
        raise BundleError(f"{name} cannot be taken over: {error.strerror}.") from error


def _digests(folder: Path, names: tuple[str, ...], on_bytes: OnBytes) -> dict[str, str]:
    total, done, found = sum((folder / name).stat().st_size for name in names), 0, {}
    for name in names:
        sha: Any = hashlib.sha256()
        with (folder / name).open("rb") as f:
            while block := f.read(BLOCK):
                sha.update(block)
                done += len(block)
                on_bytes(done, total)
        found[name] = sha.hexdigest()
    return found
