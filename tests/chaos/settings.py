"""The studio's own settings, with the test kinds, for real processes that tests start."""

from studio.settings import *  # noqa: F403
from studio.settings import INSTALLED_APPS as STUDIO_APPS

INSTALLED_APPS = [*STUDIO_APPS, "tests.chaos"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
