"""Notices as one POST of JSON to the site's webhook (NOTIFY_WEBHOOK_URL): `text` for chats, `notices` for programs.

Signed, if there is NOTIFY_WEBHOOK_SECRET: the header X-Signature-256 holds `sha256=` and the HMAC of the body.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence

from django.conf import settings

from jobs.models import Notice
from jobs.notices import NotTold
from jobs.wire import moment
from sync.transport import Transport, TransportError

SECONDS = 20.0
MOST_ANSWER_BYTES = 64 * 1024
_SETTINGS = (
    ("JOB_SERVER_PROXY", "NOTIFY_WEBHOOK_PROXY"),
    ("JOB_SERVER_CA_FILE", "NOTIFY_WEBHOOK_CA_FILE"),
    ("JOB_SERVER_ENDPOINT", "NOTIFY_WEBHOOK_URL"),
)


def tell(notices: Sequence[Notice]) -> None:
    """Raises NotTold; no message of it holds the address, which is mostly the secret."""
    body = json.dumps(told(notices)).encode()
    headers = {"Content-Type": "application/json"}
    if settings.NOTIFY_WEBHOOK_SECRET:
        digest = hmac.new(settings.NOTIFY_WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers["X-Signature-256"] = f"sha256={digest}"
    transport = Transport(
        seconds=SECONDS, headers=headers, ca_file=settings.NOTIFY_WEBHOOK_CA_FILE, proxy=settings.NOTIFY_WEBHOOK_PROXY
    )
    try:
        answer = transport.exchange("POST", settings.NOTIFY_WEBHOOK_URL, most_bytes=MOST_ANSWER_BYTES, body=body)
    except TransportError as error:
        raise NotTold(_in_own_names(str(error))) from error
    finally:
        transport.close()
    if not 200 <= answer.status < 300:
        raise NotTold(f"it answered {answer.status}", is_refusal=400 <= answer.status < 500)


def _in_own_names(text: str) -> str:
    """What the transport advises names the settings of the job-server."""
    for theirs, ours in _SETTINGS:
        text = text.replace(theirs, ours)
    return text


def told(notices: Sequence[Notice]) -> dict:
    """`id` of a notice stays the same if it should ever come twice."""
    lines = [notice.words + (f" {_address(notice)}" if _address(notice) else "") for notice in notices]
    return {
        "backend": settings.BACKEND,
        "text": "\n".join(f"[{settings.BACKEND}] {line}" for line in lines),
        "notices": [
            {
                "id": notice.pk,
                "kind": notice.kind,
                "at": moment(notice.at),
                "text": notice.words,
                "url": _address(notice),
            }
            for notice in notices
        ],
    }


def _address(notice: Notice) -> str:
    return f"{settings.DASHBOARD_URL}{notice.path}" if settings.DASHBOARD_URL and notice.path else ""
