"""Waits until the database takes connections: PostgreSQL's container may just have been started.

That may take minutes, if the server has to make good a crash first; for what it refuses by itself (a password) a moment
is enough. Before `manage.py migrate` in compose.yaml. Exit code 1 and a sentence if it does not come.
"""

import os
import sys
import time
from pathlib import Path

SECONDS, REFUSED_SECONDS = 300, 20
# A server that is not there, or not yet; its own words (the others) are in whatever language it speaks.
NOT_THERE = ("refused", "No such file", "starting up", "shutting down", "recovery", "resolve", "timeout", "unreachable")


def main() -> str:
    sys.path.insert(0, str(Path.cwd()))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobrunner_site.settings")
    import django
    from django.db import OperationalError, connection

    django.setup()
    began = time.monotonic()
    while True:
        try:
            connection.ensure_connection()
            return ""
        except OperationalError as error:
            most = SECONDS if any(words in str(error) for words in NOT_THERE) else REFUSED_SECONDS
            if connection.vendor == "sqlite" or time.monotonic() - began > most:
                return f"The database takes no connection: {str(error).strip()}"
        time.sleep(0.5)


if __name__ == "__main__":
    if said := main():
        sys.exit(said)
