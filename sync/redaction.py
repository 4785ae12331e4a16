"""Takes our secrets out of what a server has said, before any of it is shown, logged or stored.

An error page may repeat the request with its headers, in the spelling of whatever made the page: plain, as JSON, as an
address, as HTML. So each sign of a secret is looked for in all of these.
"""

import base64
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from django.conf import settings

STARS = "***"
# Shorter ones, which no site should have, are hidden only where they stand alone: "a" is in every sentence.
_LEAST_ANYWHERE = 4
# Whatever stands there, ours or not: up to the end of the line or of the text within quotes, in JSON within JSON, too.
_HEADER = re.compile(
    r"""(authorization["'\\]{0,9}\s{0,9}[:=][\s\["'\\]{0,9})(?:[^"'\\\r\n<]|\\{1,9}(?:u[0-9a-f]{4}|/))+""",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text with stars for our token, for the proxy's user and password, and for what any authorization header says.

    Give it the whole text, and shorten afterwards: a part of a secret at the end is not known for one.
    """
    secrets = sorted(set(_secrets()), key=len, reverse=True)  # one may be a part of another
    for secret in secrets:
        text = re.sub(_spelt(secret), STARS, text, flags=re.IGNORECASE)
    return _HEADER.sub(rf"\g<1>{STARS}", text)


def _secrets() -> Iterator[str]:
    if token := settings.JOB_SERVER_TOKEN:
        yield token
    login, has_login, _ = urlsplit(settings.JOB_SERVER_PROXY).netloc.rpartition("@")
    if has_login:
        # A proxy gets the decoded ones, as one word (RFC 7617).
        for form in (login, unquote(login)):
            user, _, password = form.partition(":")
            yield from filter(None, (user, password))
            for encoding in ("utf-8", "latin-1"):
                yield base64.b64encode(f"{user}:{password}".encode(encoding, "replace")).decode("ascii").rstrip("=")


def _spelt(secret: str) -> str:
    pattern = "".join(f"(?:{'|'.join(_spellings(sign))})" for sign in secret)
    return pattern if len(secret) >= _LEAST_ANYWHERE else rf"(?<!\w){pattern}(?!\w)"


def _spellings(sign: str) -> Iterator[str]:
    """Patterns for one sign as it may stand in plain text, in JSON (within JSON), in an address and in HTML."""
    # Bounded, or a page of nothing but backslashes would take hours.
    yield rf"\\{{0,9}}{re.escape(sign)}"
    units = sign.encode("utf-16-be").hex()
    yield "".join(rf"\\{{1,9}}u{units[place : place + 4]}" for place in range(0, len(units), 4))
    yield "".join(f"%{octet:02x}" for octet in sign.encode())
    yield rf"&#(?:x0*{ord(sign):x}|0*{ord(sign)});"
    if (named := html.escape(sign)) != sign:
        yield re.escape(named)
