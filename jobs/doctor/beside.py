"""What is done beside the jobs: does the runner do chores, and would a notice leave this machine?"""

import smtplib
from collections.abc import Iterator

from django.conf import settings
from django.core.mail import get_connection

from jobs.chores import overdue
from jobs.doctor import BAD, OFF, OK, WARN, Finding
from jobs.models import ChoreRun
from jobs.notices.email import SECONDS
from jobs.signs import Signs
from jobs.text import counted, listed

_TEST = "`manage.py notices --test` sends one"


def examine_chores() -> Iterator[Finding]:
    run, last = Signs.read().run, ChoreRun.objects.last_of_each()
    failed = sorted(name for name, each in last.items() if each.is_trouble)
    if not settings.CHORES:
        what = "Nobody copies the database or checks what is stored: have cron do it."
        yield Finding("Chores", WARN, "CHORES is off", what)
    elif run.is_fresh and not run.chores_are_on:
        yield Finding("Chores", WARN, "the runner does none", "It was started with CHORES off: restart it.")
    elif failed:
        yield Finding("Chores", WARN, f"failed: {listed(failed)}", "`manage.py chores` says why.")
    elif late := overdue(last):
        what = "See in the runner's log what it says of work_on_chores, and restart `manage.py run`."
        yield Finding("Chores", WARN, f"not done for long: {listed(late)}", what)
    else:
        yield Finding("Chores", OK, f"{counted(len(last), 'chore')} done" if last else "none done yet")


def examine_notices() -> Iterator[Finding]:
    """Talks to the mail server, and sends nothing."""
    if not settings.NOTIFY_EMAILS and not settings.NOTIFY_WEBHOOK_URL:
        yield Finding("Notices", OFF, "nobody is told: NOTIFY_EMAILS and NOTIFY_WEBHOOK_URL are not set")
    if settings.NOTIFY_EMAILS:
        server = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
        try:
            connection = get_connection(timeout=SECONDS)
            connection.open()
            connection.close()
        except (OSError, smtplib.SMTPException) as error:
            what = "See EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER and its password, EMAIL_USE_TLS."
            yield Finding("Mail server", BAD, f"{server} does not take us ({type(error).__name__})", what)
        else:
            recipients = counted(len(settings.NOTIFY_EMAILS), "recipient")
            yield Finding("Mail server", OK, f"{server} answers, {recipients}; {_TEST}")
    if settings.NOTIFY_WEBHOOK_URL:
        yield Finding("Webhook", OK, f"set up, not called; {_TEST}")
    if (settings.NOTIFY_EMAILS or settings.NOTIFY_WEBHOOK_URL) and not settings.DASHBOARD_URL:
        yield Finding("Notices", WARN, "without links to the pages", "Set DASHBOARD_URL.")
