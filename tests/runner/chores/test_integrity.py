"""Storage is looked at by itself: each workspace in its turn, what is found stays for the pages, leaks first."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.chores import ChoreFailed
from jobs.models import ChoreRun, StorageCheck
from runner.chores import integrity
from runner.chores.integrity import check_storage
from tests.publication import high, make_publisher, medium, publish

pytestmark = pytest.mark.django_db(transaction=True)
FILES = {"output/rows.csv": b"id,age\n1,30\n", "output/table.csv": b"group,n\na,10\n"}


@pytest.fixture(autouse=True)
def stored() -> None:
    publish(make_publisher(), FILES)


def check(argument: str = ""):
    return check_storage(ChoreRun(chore="storage", argument=argument))


def age(**ago) -> None:
    columns = {name: timezone.now() - by for name, by in ago.items()}
    StorageCheck.objects.update(**columns)


def test_a_workspace_that_was_never_seen_is_read_whole():
    assert check().said == "1 workspace looked at, all as it was stored"
    found = StorageCheck.objects.get()
    assert (found.workspace, found.is_sound, found.files, found.number) == ("study", True, 3, 0)
    assert found.read_at == found.at


def test_it_is_looked_at_once_a_day_and_read_once_a_week(monkeypatch):
    check()
    assert check().said == "no workspace was due"
    looks = []
    real = integrity.verify
    monkeypatch.setattr(
        integrity, "verify", lambda name, **how: looks.append(how["reads_contents"]) or real(name, **how)
    )
    age(at=timedelta(hours=21), read_at=timedelta(days=6))
    check()
    age(at=timedelta(hours=21), read_at=timedelta(days=8))
    check()
    assert looks == [False, True] and check().said == "no workspace was due"


def test_a_quick_look_does_not_count_as_reading():
    check()
    age(at=timedelta(hours=21), read_at=timedelta(days=6))
    before = StorageCheck.objects.get().read_at
    check()
    assert StorageCheck.objects.get().read_at == before


def test_what_is_not_as_it_was_stored_fails_the_chore_and_stays_told_until_it_is_mended():
    high("output/rows.csv").write_bytes(b"id,age\n1,31\n")
    medium("secret.csv").write_bytes(b"x")
    with pytest.raises(ChoreFailed, match="Not as it was stored: study"):
        check()
    found = StorageCheck.objects.get()
    assert (found.is_sound, found.number) == (False, 2)
    assert [(each["kind"], each["path"]) for each in found.findings] == [
        ("leak", "secret.csv"),
        ("changed", "output/rows.csv"),
    ]
    with pytest.raises(ChoreFailed, match=r"0 workspaces looked at\. Not as it was stored: study"):
        check()  # none is due, and it is as wrong as it was
    medium("secret.csv").unlink()
    high("output/rows.csv").write_bytes(FILES["output/rows.csv"])
    assert check("study").said == "1 workspace looked at, all as it was stored"
    assert StorageCheck.objects.get().is_sound


def test_what_people_have_put_into_high_privacy_storage_is_no_fault():
    high("notes.txt").write_bytes(b"x")
    check()
    assert StorageCheck.objects.get().is_sound


def test_a_workspace_that_takes_too_long_is_looked_at_without_reading_and_the_command_is_named(monkeypatch):
    monkeypatch.setattr(integrity, "SECONDS", -1)
    said = check_one_late()
    assert "study is too large to be read here: run `manage.py verify_workspace study` yourself" in said
    found = StorageCheck.objects.get()
    assert found.is_sound and found.read_at is not None  # not the first again each hour


def check_one_late() -> str:
    """As if its time was over in the middle of the first file."""
    result, note = integrity._look("study", True, lambda: True)
    assert result.is_sound
    return note


def test_when_the_time_is_over_the_other_workspaces_are_for_the_next_time(monkeypatch):
    monkeypatch.setattr(integrity, "SECONDS", -1)
    assert check().said == "no workspace was due" and not StorageCheck.objects.exists()


def test_one_that_cannot_be_read_is_told_and_the_others_are_looked_at(monkeypatch):
    publish(make_publisher(workspace="other"), FILES)
    real = integrity.verify

    def verify(name: str, **how):
        if name == "other":
            raise PermissionError(13, "Permission denied")
        return real(name, **how)

    monkeypatch.setattr(integrity, "verify", verify)
    with pytest.raises(ChoreFailed, match="2 workspaces looked at; other cannot be read: Permission denied"):
        check()
    found = StorageCheck.objects.get(workspace="other")
    assert not found.is_sound and StorageCheck.objects.get(workspace="study").is_sound


def test_one_that_is_not_there_is_refused():
    with pytest.raises(ChoreFailed, match="There is no such workspace"):
        check("nothing")
    with pytest.raises(ChoreFailed, match="There is no such workspace"):
        check("../study")


def test_what_was_known_of_a_workspace_that_is_gone_is_forgotten_when_somebody_asks():
    StorageCheck.objects.create(workspace="gone", at=timezone.now(), is_sound=False, number=1)
    with pytest.raises(ChoreFailed, match="Not as it was stored: gone"):
        check()
    with pytest.raises(ChoreFailed, match="what was known of it is forgotten"):
        check("gone")
    assert not StorageCheck.objects.filter(workspace="gone").exists()


def test_the_longest_unseen_comes_first():
    now = timezone.now()
    for name, days in (("a", 8), ("b", 30), ("c", 1)):
        at = now - timedelta(days=days)
        StorageCheck.objects.create(workspace=name, at=at, read_at=at, is_sound=True)
    due = StorageCheck.objects.due(["a", "b", "c", "new"], quick=timedelta(hours=20), full=timedelta(days=7))
    assert due == [("new", True), ("b", True), ("a", True), ("c", False)]
