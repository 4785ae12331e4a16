"""The admin's tables of chores, notices and containers in quarantine.

The queue's own tables are not shown: whoever can add a schedule there can have any function run, and none of its rows
matters.
"""

from django.contrib import admin
from django.db.models import QuerySet
from django_q.models import Failure, OrmQ, Schedule, Success

from jobs.admin_lists import LargeTable, ReadOnly, any_of
from jobs.models import ChoreRun, Notice, Quarantine, StorageCheck

admin.site.unregister([Failure, OrmQ, Schedule, Success])


@admin.register(ChoreRun)
class ChoreRunAdmin(ReadOnly, LargeTable):
    list_display = ("chore", "argument", "outcome", "said", "asked_by", "reason", "started_at", "ended_at")
    search_help_text = "the whole name of a chore, of a workspace or image, or of who asked"

    def find(self, word: str) -> QuerySet:
        return any_of(ChoreRun, {"chore": word}, {"argument": word}, {"asked_by": word})


@admin.register(Notice)
class NoticeAdmin(ReadOnly, LargeTable):
    list_display = ("kind", "text", "at", "gone_at", "email_at", "webhook_at")
    search_help_text = "the whole name of a kind"

    def find(self, word: str) -> QuerySet:
        return any_of(Notice, {"kind": word})


@admin.register(Quarantine)
class QuarantineAdmin(ReadOnly, LargeTable):
    """They are released on the System page, where it is said what that does."""

    list_display = ("name", "job", "since", "last_error", "release_requested_by", "release_requested_at")
    list_select_related = ("job",)
    search_help_text = "the whole name of a container"

    def find(self, word: str) -> QuerySet:
        return any_of(Quarantine, {"name": word})


@admin.register(StorageCheck)
class StorageCheckAdmin(ReadOnly, LargeTable):
    list_display = ("workspace", "is_sound", "number", "files", "at", "read_at")
    search_help_text = "the whole name of a workspace"

    def find(self, word: str) -> QuerySet:
        return any_of(StorageCheck, {"workspace": word})
