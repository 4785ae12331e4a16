"""`manage.py cancel_job JOB`: ask for its end."""

from jobs.console.wishes import WishCommand


class Command(WishCommand):
    help = (
        "Cancel jobs: what runs is stopped, what waits does not start, and what needs it fails. Exit code 1 if it "
        "could not be asked of each."
    )
    wish = "cancel"
