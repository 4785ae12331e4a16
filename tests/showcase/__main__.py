"""`python -m tests.showcase`: migrate the database of WORK_DIR and fill it; `… hostile` with its twin.

Somebody of each role can log in.
"""

import sys

import django
from django.core.management import call_command


def main() -> None:
    django.setup()
    from jobs.models import JobRequest
    from jobs.people.roles import ROLES
    from tests.showcase import backend, hostile
    from tests.web import PASSWORD, person

    call_command("migrate", verbosity=0)
    if JobRequest.objects.exists():
        raise SystemExit(
            "This database has requests already; the showcase fills an empty one: choose another WORK_DIR."
        )
    (hostile if sys.argv[1:] == ["hostile"] else backend).fill()
    for role in ROLES:
        person(role, name=role)
    print(f"Filled. Log in as {', '.join(ROLES)} with the password: {PASSWORD}")


if __name__ == "__main__":
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobrunner_site.settings")
    main()
