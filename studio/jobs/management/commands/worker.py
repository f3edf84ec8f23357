import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from studio.jobs.priority import let_others_go_first
from studio.jobs.worker import serve


class Command(BaseCommand):
    help = "Runs the jobs of one queue, one at a time, until it is stopped."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queue", required=True, help="engine or media")
        parser.add_argument("--nice", type=int, default=0, help="let other processes go first, as nice(1) does")
        parser.add_argument("--no-preload", action="store_true", help="load models with the first job that needs them")

    def handle(self, *args: Any, **options: Any) -> None:
        let_others_go_first(options["nice"])
        sys.exit(serve(options["queue"], preload=not options["no_preload"]))
