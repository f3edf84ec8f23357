"""Run the studio: database, web, workers, sweeper."""

import contextlib
import time
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from studio.accounts.services import create_sign_in_link
from studio.demo.seed import seed_demo
from studio.embedded.supervisor import Plan, ServeError, serve


class Command(BaseCommand):
    help = "Run the whole studio on this machine until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--no-preload", action="store_true", help="load models with the first job that needs them")

    def handle(self, *args: Any, **options: Any) -> None:
        plan = Plan(
            root=settings.BASE_DIR,
            data_dir=settings.AQ_DATA_DIR,
            host=options["host"],
            port=options["port"],
            embedded_database=settings.AQ_EMBEDDED,
            prepare=self._prepare,
            allowed_hosts=settings.ALLOWED_HOSTS,
            https=settings.AQ_HTTPS,
            preload=not options["no_preload"],
            public_names=(*settings.CSRF_TRUSTED_ORIGINS, *settings.ALLOWED_HOSTS),
        )
        try:
            serve(plan, self._say)
        except ServeError as error:
            raise CommandError(str(error)) from error
        except PermissionError as error:  # a file in it was made by another login, as by root once
            raise CommandError(
                f"This login may not use {error.filename}. Start the studio under the login that {plan.data_dir} "
                "belongs to, give it back to this one, or choose another data folder with AQ_DATA_DIR."
            ) from error

    def _prepare(self) -> str:
        """Migrate and seed; the path of a new sign-in link for the demo workspace's owner."""
        began = time.monotonic()
        call_command("migrate", verbosity=0, interactive=False)
        owner = seed_demo()
        path = f"/sign-in/{create_sign_in_link(owner)}" if owner else "/"
        connections.close_all()
        self._say(f"Database ready ({time.monotonic() - began:.1f} s).")
        return path

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal is closed, or `tee` has ended: the stop goes on in order
            self.stdout.write(text)
            self.stdout.flush()
