"""Accounts made at the machine."""

import getpass

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import CommandError, call_command

from jobs.models import AuditEntry
from jobs.people.roles import ADMINISTRATOR, OPERATOR, VIEWER
from tests.web import person

pytestmark = pytest.mark.django_db


def add(capsys, *arguments: str) -> str:
    """The password that is shown."""
    call_command("add_person", *arguments)
    shown = capsys.readouterr().out.splitlines()
    return shown[-1].removeprefix("password: ") if shown else ""


def user(name: str):
    return get_user_model().objects.get(username=name)


def roles_of(name: str) -> list[str]:
    return list(user(name).groups.values_list("name", flat=True))


def test_the_first_administrator_is_made_at_the_machine_and_can_sign_in(capsys, rf):
    password = add(capsys, "alice", "--role", ADMINISTRATOR)
    assert len(password) >= 15
    assert authenticate(rf.post("/login/"), username="alice", password=password) == user("alice")
    assert roles_of("alice") == [ADMINISTRATOR]
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.object_id, entry.after, entry.via) == ("add", "alice", "administrator", "command")


def test_whoever_is_named_without_a_role_is_an_operator(capsys):
    add(capsys, "bob")
    assert roles_of("bob") == [OPERATOR]


def test_two_passwords_are_never_the_same(capsys):
    assert add(capsys, "alice") != add(capsys, "bob")


def test_nothing_happens_to_somebody_who_is_there(capsys):
    person(VIEWER, name="bob")
    before = user("bob").password
    assert add(capsys, "bob", "--role", ADMINISTRATOR, "--if-missing") == ""
    with pytest.raises(CommandError, match="--again"):
        add(capsys, "bob", "--role", ADMINISTRATOR)
    assert (user("bob").password, roles_of("bob")) == (before, [VIEWER])


def test_a_new_password_opens_a_disabled_account_and_leaves_the_role(capsys, rf):
    person(VIEWER, name="bob", is_active=False)
    password = add(capsys, "bob", "--again")
    assert authenticate(rf.post("/login/"), username="bob", password=password) == user("bob")
    assert roles_of("bob") == [VIEWER]
    assert AuditEntry.objects.get().before == "disabled viewer"


def test_a_superuser_is_made_only_by_that_word_and_can_be_made_less(capsys):
    add(capsys, "root", "--role", "superuser")
    assert user("root").is_superuser
    add(capsys, "root", "--role", "viewer", "--again")
    assert not user("root").is_superuser and roles_of("root") == [VIEWER]


def test_without_a_password_no_password_opens_the_account(capsys):
    assert add(capsys, "carol", "--no-password") == "not shown"
    assert not user("carol").has_usable_password()


@pytest.mark.parametrize("name", ["<b>", "a b", "", "x" * 151])
def test_a_name_that_could_not_be_told_apart_is_refused(name):
    with pytest.raises(CommandError):
        call_command("add_person", name)
    assert not get_user_model().objects.exists()


def test_a_chosen_password_is_asked_for_twice_and_has_to_be_long(monkeypatch):
    answers = iter(
        ["correct horse battery", "correct horse battery", "short", "short", "one of two passwords", "other"]
    )
    monkeypatch.setattr(getpass, "getpass", lambda prompt: next(answers))
    call_command("add_person", "alice", "--prompt")
    assert user("alice").check_password("correct horse battery")
    for name in ("bob", "carol"):
        with pytest.raises(CommandError):
            call_command("add_person", name, "--prompt")
    assert get_user_model().objects.count() == 1
