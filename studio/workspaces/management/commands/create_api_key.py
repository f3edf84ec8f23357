"""A new API key."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from studio.workspaces.models import Role
from studio.workspaces.selectors import find_workspace
from studio.workspaces.services import create_api_key


class Command(BaseCommand):
    help = "Print a new API key of a workspace. It is shown this once; only its hash is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workspace", help="id or slug; the demo workspace is `demo`")
        parser.add_argument("name", help="what the key is for")
        parser.add_argument("--role", choices=Role.values, default=Role.EDITOR.value)

    def handle(self, *args: Any, **options: Any) -> None:
        workspace = find_workspace(options["workspace"])
        if workspace is None:
            raise CommandError(f"There is no workspace {options['workspace']}.")
        _, text = create_api_key(workspace, options["name"], role=Role(options["role"]))
        self.stdout.write(text)
