"""Notices as one letter to all operators, by Django's mail (EMAIL_…)."""

import hashlib
import smtplib
import uuid
from collections.abc import Sequence

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from jobs.models import Notice
from jobs.notices import NotTold
from jobs.notices.finding import first_words

SECONDS = 20


def is_set_up() -> bool:
    return bool(settings.NOTIFY_EMAILS)


def tell(notices: Sequence[Notice]) -> None:
    """Raises NotTold."""
    digest = hashlib.sha256((notices[0].batch or str(uuid.uuid4())).encode()).hexdigest()[:32]
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2]
    message = EmailMessage(
        subject=f"[{settings.BACKEND}] {first_words(notices)}"[:200],
        body=body(notices),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=list(settings.NOTIFY_EMAILS),
        # The same letter again, after a kill at the wrong moment, is known for the same.
        headers={"Message-ID": f"<{digest}@{domain}>", "Auto-Submitted": "auto-generated"},
        connection=get_connection(timeout=SECONDS),
    )
    try:
        message.send()
    except (OSError, smtplib.SMTPException) as error:
        is_refusal = isinstance(error, smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused)
        why = f"the mail server {settings.EMAIL_HOST} did not take it ({type(error).__name__})"
        raise NotTold(why, is_refusal=is_refusal) from error


def body(notices: Sequence[Notice]) -> str:
    lines = [_lines(notice) for notice in notices]
    foot = f"-- \nThe job runner of {settings.BACKEND}. Who is told of what: NOTIFY_EMAILS, NOTIFY_ABOUT."
    return "\n\n".join([*lines, foot]) + "\n"


def _lines(notice: Notice) -> str:
    text = f"{notice.at:%Y-%m-%d %H:%M} UTC: {notice.words}"
    return f"{text}\n{settings.DASHBOARD_URL}{notice.path}" if settings.DASHBOARD_URL and notice.path else text
