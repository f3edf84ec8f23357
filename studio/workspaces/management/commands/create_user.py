"""A person who may use a workspace."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from studio.accounts.passwords import ask_and_set
from studio.accounts.services import create_sign_in_link, find_or_create_user, hand_over
from studio.embedded.addresses import sign_in_url
from studio.workspaces.models import Role
from studio.workspaces.selectors import find_workspace
from studio.workspaces.services import AlreadyMember, add_member


class Command(BaseCommand):
    help = "Add a person to a workspace, and make the account where there is none. Prints a one-time sign-in link."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--workspace", required=True, help="id, slug or name; the demo workspace is `demo`")
        parser.add_argument("--role", choices=Role.values, default=Role.EDITOR.value)
        parser.add_argument("--name", default="")
        parser.add_argument("--password-stdin", action="store_true", help="set this password instead of a link")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        workspace = find_workspace(options["workspace"])
        if workspace is None:
            raise CommandError(f"There is no workspace {options['workspace']}.")
        try:
            user, made = find_or_create_user(options["email"], name=options["name"])
            add_member(workspace, user, Role(options["role"]))
        except (ValidationError, AlreadyMember) as error:
            raise CommandError(" ".join(getattr(error, "messages", [str(error)]))) from error
        self.stdout.write(f"{user.email} belongs to {workspace.name}, as {options['role']}.")
        if options["password_stdin"]:
            ask_and_set(user, from_stdin=True)
        elif made or hand_over(user):
            self.stdout.write(f"To sign in, once: {sign_in_url(create_sign_in_link(user))}")
