"""A new password for somebody."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from studio.accounts.models import User
from studio.accounts.passwords import ask_and_set


class Command(BaseCommand):
    help = "Set a user's password, typed or from standard input. Open sessions and sign-in links end."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--password-stdin", action="store_true", help="read it from standard input, one line")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email=options["email"].strip().lower()).first()
        if user is None:
            raise CommandError(f"There is no user {options['email']}. Make one: manage.py create_user")
        ask_and_set(user, from_stdin=options["password_stdin"])
        self.stdout.write(f"{user.email} has a new password.")
