"""Row ids: UUIDv7, made in Python, so that a row's id is known before it is written and ids sort by time."""

import uuid

import uuid6


def new_id() -> uuid.UUID:
    return uuid.UUID(bytes=uuid6.uuid7().bytes)
