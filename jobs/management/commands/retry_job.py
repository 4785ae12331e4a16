"""`manage.py retry_job JOB`: have it finalised again, without running it."""

from jobs.console.wishes import WishCommand


class Command(WishCommand):
    help = (
        "Finalise jobs again that a fault of this system cut off (internal_error): their outputs are stored without "
        "running them again."
    )
    wish = "finalise again"
