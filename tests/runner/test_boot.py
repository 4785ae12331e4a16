"""After a planned reboot jobs start again by themselves; after another boot, or another switch, nothing is lifted."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import AuditEntry, Flag, Heartbeat
from runner import boot
from runner.boot import lift_after_boot
from tests.factories import make_flag

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def second_boot(monkeypatch) -> None:
    monkeypatch.setattr(boot, "boot_id", lambda: "second")


def planned(**columns) -> Flag:
    return make_flag(Flag.Name.REBOOT, **{"due_at": timezone.now() - timedelta(minutes=5)} | columns)


def seen(flag: Flag, boot_id: object = "first") -> None:
    Heartbeat.beat("run", boot_id=boot_id, reboot={"flag": flag.pk, "running": 0, "containers": 0})


def is_on() -> bool:
    flag = Flag.objects.current().get(Flag.Name.REBOOT)
    return flag is not None and bool(flag.value)


def test_it_goes_off_after_the_boot_and_the_audit_says_by_whom():
    seen(planned())
    lift_after_boot()
    assert not is_on()
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.via, entry.verb) == ("runner", "runner", "switch")
    assert (entry.before, entry.after) == ("on", "off")
    assert entry.reason == boot.REASON


def test_a_restart_of_the_runner_alone_lifts_nothing():
    seen(planned(), boot_id="second")
    lift_after_boot()
    assert is_on()


def test_one_that_is_not_due_yet_stays_whatever_is_booted():
    seen(planned(due_at=timezone.now() + timedelta(hours=1)))
    lift_after_boot()
    assert is_on()


def test_one_that_was_prepared_at_once_is_switched_off_by_hand():
    seen(planned(due_at=None))
    lift_after_boot()
    assert is_on()


def test_a_boot_before_its_time_came_does_not_count():
    """No runner has seen that the time had come."""
    flag = planned()
    Heartbeat.beat("run", boot_id="first", reboot=None)
    lift_after_boot()
    assert is_on()
    seen(make_flag(Flag.Name.PAUSED))
    lift_after_boot()
    assert is_on() and flag.pk


@pytest.mark.parametrize("before", ["", None, 7])
def test_where_the_kernel_did_not_say_nothing_is_guessed(before):
    seen(planned(), boot_id=before)
    lift_after_boot()
    assert is_on()


def test_where_the_kernel_does_not_say_nothing_is_guessed(monkeypatch):
    monkeypatch.setattr(boot, "boot_id", str)
    seen(planned())
    lift_after_boot()
    assert is_on()


def test_without_any_sign_of_life_nothing_is_guessed():
    planned()
    lift_after_boot()
    assert is_on()
