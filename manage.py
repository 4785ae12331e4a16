#!/usr/bin/env python3
"""Django's command line; `manage.py help` lists the commands."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobrunner_site.settings")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a sign must not end a command
    try:
        from django.core.management import execute_from_command_line
    except ImportError:
        raise SystemExit(
            "Django is not installed for this Python. Run `make setup`, then use .venv/bin/python manage.py …"
        ) from None
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
