#!/usr/bin/env python3
"""Django's command line; `manage.py help` lists the commands."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobrunner_site.settings")
    if not hasattr(os, "getuid"):
        raise SystemExit("The job runner needs Linux (on Windows: WSL 2, or a container): docs/windows.md.")
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
