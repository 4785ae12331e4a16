"""What the database says of its maintenance switches the flag; what a person switches has the last word."""

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import AuditEntry, Flag, Heartbeat
from jobs.signs import Signs
from jobs.system.check import OK, WARN
from jobs.system.checks import _database_status
from runner import database_status
from runner.database_status import NAME, DatabaseStatus, act_on
from runner.executors.fake import FakeExecutor, FakeRun
from tests.factories import make_flag
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def flag() -> Flag | None:
    return Flag.objects.current().get(Flag.Name.DB_MAINTENANCE)


def is_on() -> bool:
    return bool(flag() and flag().value)


# What follows from an answer


def test_it_is_switched_on_when_the_database_begins_to_say_so_and_off_when_it_ends():
    act_on(False)
    assert flag() is None
    act_on(True)
    assert (flag().value, flag().set_by) == ("scheduled", "runner")
    act_on(True)
    assert Flag.objects.count() == 1
    act_on(False)
    assert not is_on()
    act_on(False)
    assert Flag.objects.count() == 2
    entries = AuditEntry.objects.order_by("pk").values_list("actor", "via", "before", "after")
    assert list(entries) == [("runner", "runner", "off", "scheduled"), ("runner", "runner", "scheduled", "off")]


def test_what_a_person_has_switched_on_stays_on():
    make_flag(Flag.Name.DB_MAINTENANCE)
    for said in (False, True, False, True, False):
        act_on(said)
    assert flag().set_by == "olive" and is_on() and Flag.objects.count() == 1


def test_what_a_person_has_switched_off_stays_off_until_the_database_begins_anew():
    act_on(True)
    make_flag(Flag.Name.DB_MAINTENANCE, value="")
    act_on(True)
    act_on(True)
    assert not is_on()
    act_on(False)
    act_on(True)
    assert is_on()


@pytest.mark.parametrize("before", [[], [True]], ids=["began while hidden", "began before"])
def test_a_maintenance_that_goes_on_when_a_persons_switch_lapses_is_not_forgotten(before):
    for said in before:
        act_on(said)
    hides = make_flag(Flag.Name.DB_MAINTENANCE, expires_at=timezone.now() + timedelta(hours=1))
    act_on(True)
    act_on(True)
    Flag.objects.filter(pk=hides.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    act_on(True)
    assert is_on() and flag().value == "scheduled"


def test_a_persons_off_in_the_middle_has_the_last_word_also_after_their_on():
    make_flag(Flag.Name.DB_MAINTENANCE)
    act_on(True)
    make_flag(Flag.Name.DB_MAINTENANCE, value="")
    act_on(True)
    act_on(True)
    assert not is_on()


def test_a_restart_of_the_runner_is_no_beginning():
    """What it said last is remembered beyond the process."""
    act_on(True)
    make_flag(Flag.Name.DB_MAINTENANCE, value="")
    act_on(True)
    assert not is_on() and Heartbeat.objects.get(name="database-status").detail == {"maintenance": True}


def test_whoever_switches_at_the_same_moment_is_not_overruled(monkeypatch):
    real = database_status.asking.switch

    def switch(*arguments, **options):
        make_flag(Flag.Name.DB_MAINTENANCE, value="")
        return real(*arguments, **options)

    monkeypatch.setattr(database_status.asking, "switch", switch)
    act_on(True)
    assert not is_on()


# The question


@pytest.fixture
def site(settings):
    settings.USING_DUMMY_DATA_BACKEND = False
    settings.DATABASE_STATUS_COMMAND, settings.DATABASE_URLS = ("maintenance",), {"default": "mssql://db"}
    settings.DATABASE_STATUS_INTERVAL_SECONDS = 3600
    return settings


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(database_status, "LOOK_SECONDS", 0.01)


def asked(site, run: FakeRun, executor: FakeExecutor | None = None) -> tuple[dict, FakeExecutor]:
    executor = executor or FakeExecutor(lambda spec: run)
    site.DATABASE_STATUS_IMAGE = ""  # so that it asks only when it is told to, and never beside that
    status = DatabaseStatus(executor)
    site.DATABASE_STATUS_IMAGE = "cohortextractor:latest"
    status.ask()
    status.close()
    return status.report(), executor


@pytest.mark.parametrize(
    ("log", "is_maintained"),
    [
        (b"db-maintenance\n", True),
        (b"connecting\n\ndb-maintenance\n\n", True),
        (b"db-maintenance\nover\n", False),
        (b"no db-maintenance\n", False),
        (b"", False),
        (b"\xff\n", False),
    ],
)
def test_its_last_line_is_the_answer(site, log, is_maintained):
    said, executor = asked(site, FakeRun(log=log))
    assert said["maintenance"] is is_maintained and is_on() is is_maintained
    assert executor.statuses() == {}


def test_what_it_says_on_standard_error_is_no_answer(site):
    said, _ = asked(site, FakeRun(log=b"db-maintenance\n", errors=b"WARNING: slow\n"))
    assert said["maintenance"] is True


def test_it_gets_the_database_and_nothing_of_a_job(site):
    specs = []
    asked(site, FakeRun(), FakeExecutor(lambda spec: specs.append(spec) or FakeRun()))
    (spec,) = specs
    assert (spec.name, spec.command) == (NAME, ("maintenance",))
    assert spec.environment["DATABASE_URL"] == "mssql://db" and spec.network == site.DATABASE_ACCESS_NETWORK
    assert spec.image.endswith("/cohortextractor:latest") and list(spec.workspace_folder.iterdir()) == []


def test_without_an_answer_nothing_changes_and_the_reason_is_told_once(site, caplog):
    act_on(True)
    executor = FakeExecutor(lambda spec: FakeRun(exit_code=3, log=b"cannot connect\n"))
    status = DatabaseStatus(executor)
    site.DATABASE_STATUS_IMAGE = "cohortextractor:latest"
    for _ in range(3):
        status.ask()
    assert status.report()["error"] == "the command ended with exit code 3: cannot connect"
    assert is_on() and caplog.text.count("is not known") == 1 and executor.statuses() == {}


def test_a_command_that_hangs_or_floods_is_ended(site, monkeypatch):
    monkeypatch.setattr(database_status, "LONGEST_ANSWER_SECONDS", 0.1)
    said, executor = asked(site, FakeRun(until=threading.Event()))
    assert "took longer than" in said["error"] and executor.statuses() == {}
    monkeypatch.setattr(database_status, "LONGEST_ANSWER_SECONDS", 20)
    said, _ = asked(site, FakeRun(log=b"x" * 100_000))
    assert "more than 64 KiB" in said["error"]


def test_trouble_of_the_engine_or_of_the_settings_is_no_answer(site):
    executor = FakeExecutor()
    executor.unavailable = "The engine is silent."
    assert asked(site, FakeRun(), executor)[0]["error"] == "The engine is silent."
    site.DATABASE_URLS = {}
    assert "no address" in asked(site, FakeRun())[0]["error"]
    assert flag() is None


def test_what_a_killed_runner_has_left_is_removed_first(site):
    hanging = threading.Event()
    runs = iter([FakeRun(until=hanging), FakeRun(log=b"db-maintenance\n")])
    executor = FakeExecutor(lambda spec: next(runs))
    site.DATABASE_STATUS_IMAGE = "cohortextractor:latest"
    executor.start(database_status._spec())
    assert asked(site, FakeRun(), executor)[0]["maintenance"] is True


def test_it_asks_by_itself_only_where_a_site_wants_it(site):
    site.DATABASE_STATUS_IMAGE = "cohortextractor:latest"
    status = DatabaseStatus(FakeExecutor(lambda spec: FakeRun(log=b"db-maintenance\n")))
    wait_until(status.report, 20, "the answer")
    status.close()
    wait_until(lambda: not status._thread.is_alive(), 20, "the thread's end")
    for name, value in (("DATABASE_STATUS_IMAGE", ""), ("USING_DUMMY_DATA_BACKEND", True)):
        setattr(site, name, value)
        assert DatabaseStatus(FakeExecutor())._thread is None


def test_the_system_page_has_a_check_of_it():
    def check(**said):
        Heartbeat.beat("run", **said)
        return [(each.state, each.value) for each in _database_status(Signs.read().run)]

    assert check() == check(database_status="x") == []
    assert check(database_status={"maintenance": True}) == [(OK, "in maintenance")]
    assert check(database_status={"maintenance": False}) == [(OK, "not in maintenance")]
    assert check(database_status={"error": "silent"}) == [(WARN, "no answer: silent")]
