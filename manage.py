#!/usr/bin/env python
"""Django's command line: `python manage.py help` lists the commands of every room."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studio.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(str(error))
    except OperationalError as error:
        if "--traceback" in sys.argv:
            raise
        reason = str(error).split("\n", 1)[0]
        sys.exit(f"The studio's database cannot be reached: {reason}\nIs the studio running? `make run` starts it.")


if __name__ == "__main__":
    main()
