"""`manage.py kill_job JOB`: ask for its end at once."""

from jobs.console.wishes import WishCommand


class Command(WishCommand):
    help = "Kill jobs: as cancel_job, but at once and as killed by an administrator; it overrides a cancel that hangs."
    wish = "kill"
