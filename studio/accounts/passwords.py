"""How commands of the shell get a password: typed twice, or one line of standard input. Never as an argument."""

import getpass
import sys

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from studio.accounts.models import User
from studio.accounts.services import set_password


def ask_and_set(user: User, *, from_stdin: bool) -> None:
    """Raises CommandError with a sentence when the password is too weak or was typed differently twice."""
    password = sys.stdin.readline().rstrip("\r\n") if from_stdin else _typed_twice()
    try:
        set_password(user, password)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error


def _typed_twice() -> str:
    first, second = getpass.getpass("Password: "), getpass.getpass("Again: ")
    if first != second:
        raise CommandError("The two are not the same.")
    return first
