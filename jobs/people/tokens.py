"""Tokens for programs: made, and found again by their digest. A token is shown once and never stored.

It holds 256 random bits, so nobody guesses one; the digest that is stored is of no use to whoever reads it.
"""

import contextlib
import hashlib
import hmac
import secrets
from datetime import timedelta

from django.db import OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from jobs.models import ApiToken, AuditEntry, Who

PREFIX = "jr_"
RANDOM_BYTES = 32
USUAL_DAYS, MOST_DAYS = 90, 365
MOST_TOKENS = 20
LONGEST_TOKEN = 256
# How exactly it is known when a token was last used: each such note is a write.
NOTE_USE_EVERY = timedelta(minutes=1)


class TooManyTokens(Exception):
    """The person has so many that it is time to revoke one."""


def make_token(user, name: str, who: Who, *, days: int = USUAL_DAYS, may_change: bool = False) -> tuple[ApiToken, str]:
    """The stored row, and the token itself, which nobody can see again. Raises TooManyTokens."""
    secret = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    with transaction.atomic():
        if ApiToken.objects.valid().filter(user=user).count() >= MOST_TOKENS:
            raise TooManyTokens
        token = ApiToken.objects.create(
            user=user,
            name=name,
            digest=digest_of(secret),
            beginning=secret[:8],
            may_change=may_change,
            expires_at=timezone.now() + timedelta(days=min(days, MOST_DAYS)),
        )
        after = f"{'may change' if may_change else 'only reads'}, until {token.expires_at:%Y-%m-%d %H:%M} UTC"
        AuditEntry.note(
            who, "make token", object_kind="token", object_id=token.beginning, label=str(token)[:512], after=after
        )
    return token, secret


def find(secret: str) -> ApiToken | None:
    """The valid token that this is, with its person; None for everything else, whatever it holds."""
    if len(secret) > LONGEST_TOKEN or not secret.startswith(PREFIX):
        return None
    digest = digest_of(secret)
    token = ApiToken.objects.valid().select_related("user").filter(digest=digest).first()
    # Found through an index over digests, whose order tells nothing of the tokens; compared once more all the same.
    if token is None or not hmac.compare_digest(token.digest.encode(), digest.encode()):
        return None
    _note_use(token)
    return token


def digest_of(secret: str) -> str:
    # A header may hold anything, also what is no text.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _note_use(token: ApiToken) -> None:
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - NOTE_USE_EVERY)
    if token.last_used_at is None or token.last_used_at <= now - NOTE_USE_EVERY:
        # Nobody who only reads has to fail because the database is being written to.
        with contextlib.suppress(OperationalError):
            ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
