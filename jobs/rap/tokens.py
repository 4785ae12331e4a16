"""Who calls, and for which backends they may speak. Knows no request and no database."""

import hmac
from collections.abc import Mapping

from jobs.rap.answers import Refused


def authenticate(authorization: str, tokens: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The backends of the token in an Authorization header, bare or after the word Bearer. Raises Refused.

    Every configured token is compared, whichever fits, and as bytes: how long it takes tells nothing of any of them.
    """
    scheme, _, rest = authorization.strip().partition(" ")
    given = rest.strip() if scheme.lower() == "bearer" else authorization.strip()
    if not given:
        raise _unauthorised("No token provided")
    backends: frozenset[str] = frozenset()
    for token, its_backends in tokens.items():
        if hmac.compare_digest(_bytes(token), _bytes(given)):
            backends = its_backends
    if not backends:
        raise _unauthorised("Invalid token")
    return backends


def _bytes(text: str) -> bytes:
    # `compare_digest` refuses text beyond ASCII, and a header may hold anything.
    return text.encode("utf-8", "surrogatepass")


def _unauthorised(details: str) -> Refused:
    return Refused(401, "Unauthorized", details)
