"""Whether no room is left on a disk, whoever says so."""

import errno

FULL = "disk_full"  # the code of the engine's own error, and ours to users
OF_POSTGRES = "53100"


def is_full(error: BaseException) -> bool:
    """Whether there was no room: for our own files, as the engine's media tell it too, or for PostgreSQL's.

    PostgreSQL's comes as an OperationalError, as does all that passes by itself: its code tells them apart.
    """
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    if getattr(error, "code", None) == FULL:
        return True
    return getattr(error.__cause__, "sqlstate", None) == OF_POSTGRES
