"""`manage.py run`: drive jobs through their containers until told to stop."""

from django.core.management.base import BaseCommand, CommandError

from jobs.schema import check_database
from jobs.service import DatabaseReplaced, stop_when_input_ends
from jobs.waiting import ALREADY_RUNNING
from runner.capacity import BadWeights
from runner.lock import AlreadyRunning, OtherExecutor
from runner.process import drive_jobs


class Command(BaseCommand):
    help = (
        "Drive jobs through their containers. Runs until SIGTERM or Ctrl-C; running containers then go on and are "
        "adopted by the next start. Only one may run on a work directory and database."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument(
            "--until-idle",
            action="store_true",
            help="stop when no job is active: shows progress, then a table of the results; exit code 1 if a job failed",
        )

        parser.add_argument(
            "--until-input-ends",
            action="store_true",
            help="stop, as on SIGTERM, when standard input ends; `service` and `add_job --wait` start it so",
        )

    def handle(self, *, until_idle: bool, until_input_ends: bool, **options) -> None:
        check_database()
        if until_input_ends:
            stop_when_input_ends()
        try:
            succeeded = drive_jobs(until_idle=until_idle)
        except AlreadyRunning as error:
            raise CommandError(str(error), returncode=ALREADY_RUNNING) from error
        except (BadWeights, DatabaseReplaced, OtherExecutor) as error:
            raise CommandError(str(error)) from error
        if not succeeded:
            raise SystemExit(1)
