"""Sessions in the database, by keys that only we can have made."""

from typing import Any

from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    """What is no key of ours is no session: a cookie may hold anything, also what PostgreSQL refuses to look up."""

    def _validate_session_key(self, key: Any) -> bool:
        known = super()._validate_session_key(key)  # type: ignore[misc]  # django-stubs leaves it out
        return bool(known) and key.isascii() and key.isalnum()
