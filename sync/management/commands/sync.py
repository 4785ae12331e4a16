"""`manage.py sync`: exchange requests and jobs with the job-server until told to stop."""

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from jobs.lock import AlreadyRunning
from jobs.schema import check_database
from jobs.service import DatabaseReplaced, stop_when_input_ends
from jobs.waiting import ALREADY_RUNNING
from sync.process import run, run_once


class Command(BaseCommand):
    help = (
        "Fetch requests from the job-server (JOB_SERVER_ENDPOINT, JOB_SERVER_TOKEN), plan their jobs, and tell it "
        "every state of them; plan what calls of the RAP API (RAP_API_TOKENS) ask for. Runs until SIGTERM or Ctrl-C; "
        "it can be killed and started again at any moment. `manage.py run` runs the jobs. Exit codes: 0 stopped by a "
        "signal, or (--once) all succeeded; 1 trouble; 2 settings need attention; 3 another one is at work."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument(
            "--once",
            action="store_true",
            help="poll, plan and tell once, then end; exit code 1 if any of it did not succeed",
        )
        parser.add_argument(
            "--plan-only",
            action="store_true",
            help="where there is no job-server: plan what operators ask for again on the dashboard",
        )

        parser.add_argument(
            "--until-input-ends",
            action="store_true",
            help="stop, as on SIGTERM, when standard input ends; `manage.py service` starts it so",
        )

    def handle(self, *, once: bool, plan_only: bool, until_input_ends: bool, **options) -> None:
        check_database()
        if until_input_ends:
            stop_when_input_ends()
        if not settings.JOB_SERVER_ENDPOINT and not settings.RAP_API_TOKENS and not plan_only:
            raise CommandError(
                "There is no job-server to speak with: set JOB_SERVER_ENDPOINT and JOB_SERVER_TOKEN to poll one, or "
                "RAP_API_TOKENS to be called by one. Without a job-server, `manage.py add_job` adds jobs and "
                "`manage.py sync --plan-only` plans what is asked for again on the dashboard."
            )
        if settings.JOB_SERVER_ENDPOINT and not settings.JOB_SERVER_TOKEN:
            raise CommandError("JOB_SERVER_TOKEN is not given to this process (SECRETS_ELSEWHERE), so it cannot sync.")
        if plan_only and settings.JOB_SERVER_ENDPOINT:
            raise CommandError("JOB_SERVER_ENDPOINT names a job-server: leave out --plan-only, or do not name one.")
        try:
            troubles = run_once() if once else run()
        except AlreadyRunning as error:
            raise CommandError(str(error), returncode=ALREADY_RUNNING) from error
        except DatabaseReplaced as error:
            raise CommandError(str(error)) from error
        if troubles:
            raise CommandError("\n".join(troubles))
