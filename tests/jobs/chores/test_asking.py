"""Asking for a chore: once while it is open, with who and why, and nothing that it cannot take."""

import pytest

from jobs.chores.asking import CannotAsk, ask_for_chore
from jobs.models import AuditEntry, ChoreRun, Who
from jobs.reasons import NoReason

pytestmark = pytest.mark.django_db
OLIVE = Who("olive", "dashboard", "10.0.0.1")


def test_who_asked_and_why_is_kept_with_the_wish_and_in_the_audit():
    run, is_new = ask_for_chore("export", "study", OLIVE, " for the paper ")
    assert is_new and (run.asked_by, run.via, run.reason) == ("olive", "dashboard", "for the paper")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.verb, entry.object_kind, entry.object_id) == ("olive", "chore", "chore", "export study")
    assert (entry.after, entry.reason, entry.address) == ("asked for", "for the paper", "10.0.0.1")


def test_asking_again_while_it_is_open_changes_nothing():
    run, _ = ask_for_chore("export", "study", OLIVE, "for the paper")
    again, is_new = ask_for_chore("export", "study", Who("bob", "command"), "me too")
    assert (again.pk, is_new) == (run.pk, False)
    assert AuditEntry.objects.count() == ChoreRun.objects.count() == 1


def test_without_a_reason_nothing_is_asked_for():
    with pytest.raises(NoReason):
        ask_for_chore("snapshot", "", OLIVE, "  ")
    assert not ChoreRun.objects.exists() and not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("name", "argument", "why"),
    [
        ("nothing", "", "There is no such chore."),
        ("snapshot", "study", "“Copy the database” takes nothing more."),
        ("export", "", "Name a workspace."),
        ("prune", "", "Name a workspace."),
        ("export", "a\nb", "That is no name of a workspace."),
        ("images", "x" * 300, "That is no name of a image."),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_the_reason(name, argument, why):
    with pytest.raises(CannotAsk) as refused:
        ask_for_chore(name, argument, OLIVE, "to see")
    assert str(refused.value).replace("an image", "a image") == why
    assert not ChoreRun.objects.exists()
