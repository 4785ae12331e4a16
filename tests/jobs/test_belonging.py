"""The database is the one whose jobs' folders are in the work directory; a wrong one is refused at once."""

import contextlib

import pytest
from django.core.management import CommandError

from jobs import belonging
from jobs.belonging import MARK, SEEN_BY_ALL, check_belonging, claim
from jobs.models import Installation
from jobs.schema import check_database
from tests.factories import make_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def mark(settings):
    return settings.WORK_DIR / MARK


def test_the_first_runner_lets_both_know_each_other(mark):
    check_belonging()
    claim()
    assert mark.read_text().strip() == Installation.objects.identifier() != ""
    claim()
    check_database()
    assert Installation.objects.count() == 1


def test_a_database_without_the_jobs_is_refused_and_stays_as_it_is(mark):
    mark.write_text("0123456789abcdef0123456789abcdef\n")
    for refuse in (check_belonging, claim, check_database):
        with pytest.raises(CommandError, match="knows none of them") as refused:
            refuse()
    assert str(mark) in str(refused.value) and not Installation.objects.exists()


def test_another_installation_s_database_is_refused(mark):
    claim()
    mark.write_text("0123456789abcdef0123456789abcdef\n")
    with pytest.raises(CommandError, match="bears another number"):
        claim()


def test_a_copy_from_before_there_were_numbers_is_asked_about(mark):
    """Put back by the book, it has the jobs and no number; so has the old file of a site that was moved back then."""
    make_job()
    mark.write_text("0123456789abcdef0123456789abcdef\n")
    with pytest.raises(CommandError, match="a copy from before the update") as refused:
        claim()
    assert f"remove {mark}, then start again" in str(refused.value)
    mark.unlink()
    claim()


def test_a_move_whose_end_was_not_written_down_is_ended_by_the_first_runner(mark):
    mark.write_text(f"0123456789abcdef0123456789abcdef {Installation.objects.give_identifier()}\n")
    check_belonging()
    claim()
    assert mark.read_text().strip() == Installation.objects.identifier()


def test_who_may_not_enter_the_work_directory_is_not_stopped(settings, monkeypatch):
    """The pages as a user of their own, beside PostgreSQL."""

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(belonging.Path, "is_dir", refuse)
    check_belonging()


@pytest.mark.parametrize("name", [MARK, f"{MARK}.unfinished"])
def test_no_link_leads_to_a_file_that_others_may_not_write(settings, tmp_path, name):
    """With compose the pages and sync may write to the folder of the database, and nothing to high privacy storage."""
    (folder := settings.WORK_DIR / SEEN_BY_ALL).mkdir()
    output = tmp_path / "output.csv"
    output.write_text("patients")
    (folder / name).symlink_to(output)
    with pytest.raises(CommandError, match="cannot be read") if name == MARK else contextlib.nullcontext():
        claim()
        assert (folder / MARK).read_text().strip() == Installation.objects.identifier()
    assert output.read_text() == "patients"


def test_a_start_that_was_killed_between_the_two_is_made_good(mark):
    number = Installation.objects.give_identifier()
    claim()
    assert mark.read_text() == f"{number}\n"


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_a_mark_without_a_number_says_nothing(mark, content):
    mark.write_bytes(content)
    claim()
    assert mark.read_text().strip() == Installation.objects.identifier()


def test_a_mark_that_cannot_be_read_is_never_written_over(mark):
    """It may be another database's; after one `sudo manage.py run` it is root's. The pages do not see it anyway."""
    mark.mkdir()
    check_belonging()
    with pytest.raises(CommandError, match="cannot be read: Is a directory"):
        claim()
    assert not Installation.objects.exists()


def test_with_compose_every_process_sees_a_mark(settings):
    """The pages, sync and migrate see the folder of the database only, and that is there on PostgreSQL as well."""
    (settings.WORK_DIR / SEEN_BY_ALL).mkdir()
    claim()
    (settings.WORK_DIR / MARK).unlink()
    Installation.objects.all().delete()
    with pytest.raises(CommandError, match="knows none of them") as refused:
        check_belonging()
    assert str(settings.WORK_DIR / SEEN_BY_ALL / MARK) in str(refused.value)


def test_a_work_directory_of_its_own_beside_the_same_database_is_nobody_s_harm(mark):
    claim()
    mark.unlink()
    claim()
    assert mark.read_text().strip() == Installation.objects.identifier()
