"""The chore of each minute: what is new joins the rows, and what has not been told yet is told, all of it at once."""

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.module_loading import import_string

from jobs.chores import ChoreFailed, Done
from jobs.models import ChoreRun, Notice
from jobs.models.notice import STALE_AFTER
from jobs.notices import NotTold, channels
from jobs.notices.finding import find
from jobs.text import counted

MOST_AT_ONCE = 50
_OVERLAP = timedelta(minutes=5)


def why_off() -> str:
    return "" if channels() else "nobody is named in NOTIFY_EMAILS or NOTIFY_WEBHOOK_URL"


def notify(run: ChoreRun) -> Done:
    Notice.objects.add(find(_since()))
    Notice.objects.end_what_is_gone()
    told, failures = 0, []
    for channel in channels():
        try:
            told += _tell(channel.name, channel.tell)
        except NotTold as error:
            failures.append(f"{channel.name}: {error}")
    if failures:
        raise ChoreFailed(f"{'; '.join(failures)}. It is tried again each minute, for a day.")
    return Done(f"{counted(told, 'notice')} sent" if told else "nothing new")


def _tell(channel: str, function: str) -> int:
    """Returns how many were taken. What is refused holds up no other. Raises NotTold."""
    tell, number, refused = import_string(function), 0, []
    failure: NotTold | None = None
    while notices := Notice.objects.untold(channel).exclude(pk__in=refused).first_batch(MOST_AT_ONCE):
        pks = [notice.pk for notice in notices]
        try:
            tell(notices)
        except NotTold as error:
            failure, refused = error, refused + pks
            if not error.is_refusal or len(refused) >= MOST_AT_ONCE:
                break
            continue
        Notice.objects.filter(pk__in=pks).mark_told(channel)
        number += len(notices)
    if failure:
        raise failure
    return number


def _since() -> datetime:
    """Since when this site has wanted notices, as far as is known; what failed before is nobody's news."""
    first = ChoreRun.objects.filter(chore="notify").order_by("pk").values_list("started_at", flat=True).first()
    return max(first or timezone.now(), timezone.now() - STALE_AFTER) - _OVERLAP
