"""Where the embedded studio keeps things. Standard library only: the settings read it."""

import hashlib
import os
from pathlib import Path

DATABASE = "aquarius"
ROLE = "aquarius"
PORT = 5432  # names the socket file only: no TCP port is opened


def mark(data_dir: Path) -> str:
    """What tells a data folder from every other of this machine, in few letters."""
    return hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:10]


def socket_folder(data_dir: Path) -> Path:
    """The folder of PostgreSQL's socket: short (a socket path may have 107 bytes) and the same for every process."""
    return Path("/tmp") / f"aquarius-{os.getuid()}-{mark(data_dir)}"


def database_url(data_dir: Path, database: str = DATABASE) -> str:
    return f"postgresql://{ROLE}@/{database}?host={socket_folder(data_dir)}&port={PORT}"
