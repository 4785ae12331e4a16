"""What administrators ask for about people, as `jobs.asking` has it about jobs: a change and its audit row together."""

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from jobs.models import ApiToken, AuditEntry, LogInCount, Who
from jobs.reasons import cleaned_reason


@transaction.atomic
def lift_lock_outs(pks: Iterable[int], who: Who, reason: str) -> int:
    """Let these counts of failed log-ins begin again; returns how many had counted any. Raises NoReason."""
    reason = cleaned_reason(reason)
    counts = list(LogInCount.objects.filter(pk__in=list(pks), failures__gt=0))
    for count in counts:
        AuditEntry.note(
            who, "lift", object_kind="log-in count", object_id=f"{count.name} {count.address}".strip(),
            label=str(count), before=f"{count.failures} failures", after="0", reason=reason,
        )  # fmt: skip
    LogInCount.objects.filter(pk__in=[count.pk for count in counts]).update(failures=0)
    return len(counts)


@transaction.atomic
def revoke_tokens(pks: Iterable[int], who: Who, reason: str) -> int:
    """End these tokens for good; returns how many were not ended yet. Raises NoReason."""
    reason = cleaned_reason(reason)
    tokens = ApiToken.objects.filter(pk__in=list(pks), revoked_at=None).select_related("user")
    for token in tokens:
        AuditEntry.note(
            who, "revoke", object_kind="token", object_id=token.beginning, label=str(token), before="valid",
            after="revoked", reason=reason,
        )  # fmt: skip
    return ApiToken.objects.filter(pk__in=[token.pk for token in tokens]).update(revoked_at=timezone.now())
