from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from studio.jobs.sweeper import sweep_forever


class Command(BaseCommand):
    help = "Brings lost jobs back, ends late ones, publishes what was left unpublished, and clears away."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--every", type=float, default=1.0, help="seconds between two sweeps")

    def handle(self, *args: Any, **options: Any) -> None:
        sweep_forever(options["every"])
