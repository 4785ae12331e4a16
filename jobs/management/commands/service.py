"""`manage.py service`: sync and run, kept alive by one process."""

import functools
import sys

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection

from jobs.lock import is_held_here
from jobs.schema import check_database
from jobs.service import let_go_of_database, stopped_by_signals
from jobs.supervising import Child, keep_alive

# A server on another machine keeps a lock for a minute after whoever held it has vanished (`jobrunner_site.databases`).
_LOCK_SECONDS = 120.0


class Command(BaseCommand):
    help = (
        "Run `manage.py sync` and `manage.py run` as children of one process, for small sites and development: each is "
        "started again when it ends, and both end with this one, on SIGTERM, Ctrl-C or however it ends. Without a "
        "job-server sync only plans. The pages are gunicorn's, as ever. Under systemd (Type=notify) it is ready once "
        "it has started both. Exit codes: 0 stopped by a signal; 2 settings need attention; 3 another sync or run "
        "is at work (on another machine still after two minutes, as one that has vanished is missed a minute late)."
    )

    def handle(self, **options) -> None:
        check_database()
        let_go_of_database()  # the children have connections of their own
        has_job_server = settings.JOB_SERVER_ENDPOINT or settings.RAP_API_TOKENS
        sync = ["sync"] if has_job_server else ["sync", "--plan-only"]
        children = [
            Child(
                f"manage.py {words[0]}",
                [sys.executable, sys.argv[0], *words, "--until-input-ends"],
                lock_seconds=_LOCK_SECONDS if connection.vendor == "postgresql" else 0.0,
                is_held_here=functools.partial(is_held_here, words[0]),
            )
            for words in (sync, ["run"])
        ]
        with stopped_by_signals() as stop:
            code = keep_alive(children, stop)
        if code:
            raise SystemExit(code)
