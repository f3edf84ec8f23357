"""What can end a run early, and how each error is told to a user."""

import errno
import logging
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError

from engine.bundles import BundleError
from engine.media.errors import MediaError
from studio import disk

logger = logging.getLogger(__name__)


class Canceled(Exception):
    """The run stops because it was asked to: by the user, or because this worker is going away."""


class Refused(ValueError):
    """What a handler tells the user: the job cannot be done. The message is a sentence that says what to do."""

    code = "invalid_request"


class ModelReplaced(Refused):
    """The model that the job was promised is not installed any more."""

    code = "model_replaced"


class UnknownKind(Refused):
    """No room has registered this kind of job."""


class IdempotencyConflict(ValueError):
    """The same Idempotency-Key was used before for another request."""


@dataclass(frozen=True)
class Failure:
    """What a user is told: a stable code, a sentence that says what to do, and whether trying again may help."""

    code: str
    message: str
    retryable: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


OUT_OF_MEMORY = Failure(
    "out_of_memory", "The machine ran out of memory. Try a smaller size or a shorter video, or try again later.", True
)
DISK_FULL = Failure(
    disk.FULL, "The disk of the studio is full. Ask its administrator to make room, then try again.", True
)
WORKER_LOST = Failure(
    "worker_lost", "The worker stopped before the job was done, as often as it was tried. Try again.", True
)
MODEL_UNAVAILABLE = Failure(
    "model_unavailable",
    "The model is missing, damaged or too old. Ask the studio's administrator to renew it.",
    True,
)


def failure_from(error: BaseException) -> Failure:
    """The failure that a handler's exception means.

    Only what was written for users speaks to them: `Refused`, the engine's MediaError, and what pydantic says of the
    settings. Whatever else happens, also a ValueError of some library, becomes `internal_error` with an incident id;
    its traceback goes to the log under that id and to nobody else.
    """
    if _is_out_of_memory(error):
        return OUT_OF_MEMORY
    if disk.is_full(error):
        return DISK_FULL
    if isinstance(error, ValidationError):
        return Failure("invalid_request", _sentences(error), False)
    if isinstance(error, Refused | MediaError):
        return Failure(error.code, str(error), False)
    if isinstance(error, BundleError):
        logger.error("a job's model cannot be used", exc_info=error)  # it names folders of the server
        return MODEL_UNAVAILABLE
    return _incident(error)


def _is_out_of_memory(error: BaseException) -> bool:
    # torch's own errors are matched by name: this module must not import torch.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    )


def _sentences(error: ValidationError) -> str:
    return " ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'settings'}: {item['msg']}." for item in error.errors()
    )


def _incident(error: BaseException) -> Failure:
    incident = secrets.token_hex(4)
    logger.error("incident %s", incident, exc_info=error)
    return Failure(
        "internal_error",
        f"Something went wrong on our side. Try again; if it happens again, report incident {incident}.",
        True,
    )
