"""`manage.py rerun_job JOB`: have its action run again."""

from jobs.console.wishes import WishCommand


class Command(WishCommand):
    help = (
        "Run ended jobs again, at the same commit, in a new request for each of their requests; --request means its "
        "failed jobs."
    )
    wish = "run again"
