"""`manage.py work_on_chores`: the process that does chores. Started by `manage.py run`."""

from django.core.management.base import BaseCommand

from jobs.schema import check_database
from runner.chores.cluster import run_cluster


class Command(BaseCommand):
    help = (
        "Do chores (`manage.py chores` tells which) until SIGTERM, or until standard input ends. `manage.py run` "
        "starts it and keeps it alive. A second one does no harm: each chore is one process's at a time."
    )

    def handle(self, **options) -> None:
        check_database()
        run_cluster()
