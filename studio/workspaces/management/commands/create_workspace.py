"""A new workspace."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from studio.accounts.services import create_sign_in_link, find_or_create_user, hand_over
from studio.embedded.addresses import sign_in_url
from studio.workspaces.services import create_workspace, free_slug


class Command(BaseCommand):
    help = "Make a workspace and its owner, who gets an account and a one-time sign-in link where there is none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--owner", required=True, metavar="EMAIL")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"].strip()
        if not 0 < len(name) <= 200:
            raise CommandError("A workspace's name has 1 to 200 characters.")
        try:
            owner, made = find_or_create_user(options["owner"])
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        workspace = create_workspace(name, free_slug(name), owner=owner)
        self.stdout.write(f"{workspace.name} ({workspace.slug}) belongs to {owner.email}.")
        if made or hand_over(owner):
            self.stdout.write(f"To sign in, once: {sign_in_url(create_sign_in_link(owner))}")
