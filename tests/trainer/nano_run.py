"""The small run of the nano recipe that tests look at, and copies of parts of it that they change."""

import shutil

from trainer.recipes.nano import nano_smoke

CONFIG = nano_smoke()


def files_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def copy_of(run, tmp_path, *parts):
    """A run's folder that holds only these parts of another."""
    folder = tmp_path / "copy"
    for part in parts:
        source = run / part
        folder.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / part)
    return folder
