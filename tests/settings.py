"""The studio's settings with data, database and secret of the tests' own. Processes that tests start get TEST_ENV."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

MEMORY, ENOUGH = Path("/dev/shm"), 6 * 1024**3


def has_room(folder: Path) -> bool:
    """For what the tests write (at most about 1 GB at a time), small programs of theirs included."""
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= ENOUGH and not found.f_flag & os.ST_NOEXEC


# Databases that are made, emptied and removed all the time wait for a disk far longer than they work. Nothing here is
# to survive a power cut: what is killed are processes, and what they wrote is kept in memory as it is on a disk.
if "TMPDIR" not in os.environ and has_room(MEMORY):
    os.environ["TMPDIR"], tempfile.tempdir = str(MEMORY), None

# Several tests share the cores: the threads of one would mostly wait for each other, and spin while they do.
os.environ.setdefault("OMP_NUM_THREADS", "1")

DATA_DIR = Path(tempfile.mkdtemp(prefix="aq-test-"))
atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)
DATA_DIR.chmod(0o755)  # the embedded PostgreSQL runs as another user when the tests run as root

for name in [name for name in os.environ if name.startswith("AQ_") or name == "DATABASE_URL"]:
    del os.environ[name]
os.environ["AQ_DATA_DIR"] = str(DATA_DIR)
os.environ["AQ_SECRET_KEY"] = "only-for-tests"

from studio.settings import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
