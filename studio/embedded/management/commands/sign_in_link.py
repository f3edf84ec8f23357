"""A new one-time sign-in link."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from studio.accounts.models import User
from studio.accounts.services import create_sign_in_link
from studio.embedded.addresses import read_address, sign_in_url


class Command(BaseCommand):
    help = "Print a link that signs one user in once. Without --email: the first user."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.AQ_EMBEDDED and read_address(settings.AQ_DATA_DIR) is None:
            raise CommandError("The studio is not running. Start it with `make run`.")
        users = User.objects.filter(is_active=True).order_by("created_at")
        if options["email"]:
            users = users.filter(email=options["email"].strip().lower())
        user = users.first()
        if user is None:
            raise CommandError("There is no such user.")
        self.stdout.write(sign_in_url(create_sign_in_link(user)))
