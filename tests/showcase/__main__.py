"""`python -m tests.showcase`: migrate the database of WORK_DIR and fill it, with somebody of each role to log in as."""

import django
from django.core.management import call_command


def main() -> None:
    django.setup()
    from jobs.models import JobRequest
    from jobs.people.roles import ROLES
    from tests.showcase.backend import fill
    from tests.web import PASSWORD, person

    call_command("migrate", verbosity=0)
    if JobRequest.objects.exists():
        raise SystemExit(
            "This database has requests already; the showcase fills an empty one: choose another WORK_DIR."
        )
    fill()
    for role in ROLES:
        person(role, name=role)
    print(f"Filled. Log in as {', '.join(ROLES)} with the password: {PASSWORD}")


if __name__ == "__main__":
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobrunner_site.settings")
    main()
