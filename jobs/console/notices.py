"""`manage.py notices`: what operators were told lately, by which way; and a letter to see whether it arrives."""

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string
from rich.table import Table
from rich.text import Text

from jobs.console.asker import at_this_terminal
from jobs.console.command import Refused, print_json
from jobs.log import escape
from jobs.models import AuditEntry, Notice
from jobs.notices import NotTold, channels
from jobs.notices.telling import why_off
from jobs.results import terminal
from jobs.wire import moment


def list_notices(*, limit: int, as_json: bool) -> None:
    found = list(Notice.objects.order_by("-pk")[:limit])
    if as_json:
        print_json({"channels": [each.name for each in channels()], "notices": [_told(each) for each in found]})
        return
    if why := why_off():
        terminal(stderr=True).print(Text(f"Nobody is told of anything: {why}.", "yellow"), soft_wrap=True)
    if not found:
        terminal().print("There was nothing to tell yet.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("when", "kind", "what", "told by"):
        table.add_column(heading, overflow="fold")
    for each in found:
        over = " (over)" if each.gone_at else ""
        table.add_row(f"{each.at:%Y-%m-%d %H:%M} UTC", each.kind, Text(escape(each.text) + over), _ways(each))
    terminal().print(table)


def send_test(*, as_json: bool) -> int:
    """1 if one of the ways did not take it. Raises Refused."""
    if why := why_off():
        raise Refused(f"There is no way to tell anybody anything: {why}.")
    notice = Notice(
        kind="test", key="test", at=timezone.now(), path="/system/",
        text=f"This is a test of the notices of {settings.BACKEND}: nothing is wrong",
    )  # fmt: skip
    AuditEntry.note(at_this_terminal(), "test", object_kind="notice", label="a test of notices")
    results = {each.name: _sent(each.tell, notice) for each in channels()}
    if as_json:
        print_json({"results": [{"channel": name, "error": error} for name, error in results.items()]})
    else:
        for name, error in results.items():
            line = Text(f"✗ {name}: {escape(error)}", "bold red") if error else Text(f"✓ {name}: taken", "green")
            terminal().print(line, soft_wrap=True)
    return 1 if any(results.values()) else 0


def _sent(tell: str, notice: Notice) -> str:
    """Empty, or why it was not taken."""
    try:
        import_string(tell)([notice])
    except NotTold as error:
        return str(error)
    return ""


def _told(notice: Notice) -> dict:
    return {
        "kind": notice.kind,
        "text": notice.text,
        "path": notice.path,
        "at": moment(notice.at),
        "gone_at": moment(notice.gone_at),
        "told": {way: moment(getattr(notice, f"{way}_at")) for way in _wanted(notice)},
    }


def _wanted(notice: Notice) -> list[str]:
    return [way for way in ("email", "webhook") if getattr(notice, f"wants_{way}")]


def _ways(notice: Notice) -> Text:
    """Each way, and those that have not taken it yet in another colour."""
    ways = Text()
    for way in _wanted(notice):
        is_told = getattr(notice, f"{way}_at") is not None
        ways.append(f"{way} " if is_told else f"{way}: not yet ", "green" if is_told else "yellow")
    return ways
