"""The one error of this package."""

from __future__ import annotations


class MediaError(ValueError):
    """A file that cannot be used, or could not be written. `code` is stable; the message is a sentence for the user."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
