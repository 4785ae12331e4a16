"""`manage.py migrate`: Django's, one at a time, and never on a database of a newer version.

Three services that start at once may each have it run: each step is done once.
"""

from django.core.management.commands.migrate import Command as DjangosCommand
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from jobs.schema import LONGEST_WAIT_SECONDS, is_damaged, no_answer, one_at_a_time, refuse_newer


class Command(DjangosCommand):
    help = DjangosCommand.help + " Only one is at work on an installation at once; a second one waits."

    def execute(self, *args, **options):
        try:
            connection.ensure_connection()
            MigrationRecorder(connection).has_table()
        except DatabaseError as error:
            if connection.vendor == "sqlite" and not is_damaged(error):
                raise
            raise no_answer(error) from error
        return super().execute(*args, **options)

    def handle(self, *args, **options):
        with one_at_a_time():
            if connection.vendor == "postgresql":  # who writes for long is waited for: nothing starts before this ends
                connection.cursor().execute(f"SET lock_timeout = '{LONGEST_WAIT_SECONDS:.0f}s'")
            refuse_newer(MigrationExecutor(connection))
            return super().handle(*args, **options)
