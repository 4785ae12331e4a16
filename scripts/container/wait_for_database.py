"""Waits until the database takes connections, a minute at most: PostgreSQL's container may just have been started.

Before `manage.py migrate` in compose.yaml. Exit code 1 and a sentence if it does not come.
"""

import os
import sys
import time
from pathlib import Path

SECONDS = 60


def main() -> str:
    sys.path.insert(0, str(Path.cwd()))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobrunner_site.settings")
    import django
    from django.db import OperationalError, connection

    django.setup()
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            connection.ensure_connection()
            return ""
        except OperationalError as error:
            if connection.vendor == "sqlite" or time.monotonic() > deadline:
                return f"The database takes no connection: {str(error).strip()}"
        time.sleep(0.5)


if __name__ == "__main__":
    if said := main():
        sys.exit(said)
