"""Accounts of people, made and mended by whoever sits at the machine: how the first administrator comes to be.

What an administrator does in a browser is the admin's (`jobs.people.user_admin`); both leave an audit row.
"""

import secrets

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction

from jobs.models import AuditEntry, LogInCount, Who
from jobs.people.lock_out import name_key
from jobs.people.roles import ROLES

# About 95 bits, in groups that can be read aloud.
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS, _IN_GROUP = 4, 5
SUPERUSER = "superuser"


def new_password() -> str:
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(_IN_GROUP)) for _ in range(_GROUPS))


@transaction.atomic
def add_person(name: str, role: str, password: str | None, who: Who):
    """A person with this role (or `superuser`, or none). Without a password only single sign-on opens the account.

    Raises ValidationError for a name that Django does not take.
    """
    people = get_user_model()
    user = people(username=people.normalize_username(name))
    user.set_password(password)
    user.full_clean()
    user.save(force_insert=True)
    _give(user, role)
    _note(who, "add", user, after=role_in_words(user))
    return user


@transaction.atomic
def mend_person(user, role: str | None, password: str | None, who: Who) -> None:
    """A new password, which also opens a disabled or locked account; and another role, if one is named."""
    before = role_in_words(user)
    user.set_password(password)
    user.is_active = True
    if role is not None:
        user.is_superuser = False
        _give(user, role)
    user.save()
    LogInCount.objects.lift(name_key(user.get_username()))
    _note(who, "new password", user, before=before, after=role_in_words(user))


def role_in_words(user) -> str:
    """As people read it in the audit: "operator", "superuser", "disabled operator", "no role"."""
    roles = list(user.groups.order_by("name").values_list("name", flat=True))
    words = [SUPERUSER] * user.is_superuser + roles
    return ("" if user.is_active else "disabled ") + (", ".join(words) or "no role")


def _give(user, role: str) -> None:
    user.groups.set(Group.objects.filter(name=role) if role in ROLES else [])
    if role == SUPERUSER:
        user.is_superuser = user.is_staff = True
        user.save(update_fields=["is_superuser", "is_staff"])


def _note(who: Who, verb: str, user, **columns: str) -> None:
    name = user.get_username()
    AuditEntry.note(who, verb, object_kind="user", object_id=name, label=name, **columns)
