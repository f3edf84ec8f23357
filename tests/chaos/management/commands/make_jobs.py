import random
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from studio.accounts.models import User
from studio.jobs.services import create_job
from studio.workspaces.models import Workspace
from studio.workspaces.services import create_workspace
from tests.chaos.kinds import KIND, PUBLISHED_TABLE


class Command(BaseCommand):
    help = "Makes jobs of the test kind in three workspaces."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--count", type=int, required=True)
        parser.add_argument("--seed", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(PUBLISHED_TABLE)
        choose = random.Random(options["seed"])
        spaces = [_workspace(name) for name in ("one", "two", "three")]
        for number in range(options["count"]):
            settings = {"name": str(number), "seconds": choose.uniform(0.05, 0.4), "steps": choose.randint(1, 8)}
            create_job(choose.choice(spaces), KIND, settings, created_by=None, priority=choose.randint(0, 2))


def _workspace(slug: str) -> Workspace:
    owner, _ = User.objects.get_or_create(email=f"{slug}@example.com")
    return Workspace.objects.filter(slug=slug).first() or create_workspace(slug, slug, owner=owner)
