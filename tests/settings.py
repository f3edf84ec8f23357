"""The studio's settings with data, database and secret of the tests' own. Processes that tests start get TEST_ENV."""

import os
import tempfile
from pathlib import Path

DATA_DIR = Path(tempfile.mkdtemp(prefix="aq-test-"))
DATA_DIR.chmod(0o755)  # the embedded PostgreSQL runs as another user when the tests run as root

for name in [name for name in os.environ if name.startswith("AQ_") or name == "DATABASE_URL"]:
    del os.environ[name]
os.environ["AQ_DATA_DIR"] = str(DATA_DIR)
os.environ["AQ_SECRET_KEY"] = "only-for-tests"

from studio.settings import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
