"""docs/operations.md, "What grows": whoever adds a folder, a bound or a table of rows has to say there how it ends."""

import re

import pytest
from django.apps import apps
from django.conf import settings

from jobs import debug_log
from jobs.chores import retention
from jobs.people import lock_out
from tests.site import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text().split("## What grows, and what bounds it")[1].split("\n## ")[0]
SAMPLE = (ROOT / "dotenv-sample").read_text()
# A folder that is only another name of one, or that nobody writes to.
NOT_WRITTEN = {"HOST_WORK_DIR", "SECRETS_DIR"}


def settings_named(pattern: str) -> set[str]:
    """Of dotenv-sample, which has all of them (tests/jobs/test_settings.py)."""
    return {name for name in re.findall(r"^# ([A-Z0-9_]+)=", SAMPLE, re.MULTILINE) if re.search(pattern, name)}


def test_each_folder_and_each_time_for_which_something_is_kept_is_in_the_table():
    wanted = settings_named(r"_DIR$|_STORAGE_BASE$|KEPT|_AFTER_DAYS$|LOG_MAX|FREE_DISK") - NOT_WRITTEN
    assert len(wanted) > 10
    assert {name for name in wanted if name not in TEXT} == set()


def test_the_table_names_no_setting_that_is_not_there():
    named = set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)[`/]", TEXT))
    assert {name for name in named if not hasattr(settings, name)} == set()


def test_each_table_of_rows_is_bounded_or_kept_on_purpose():
    models = [model.__name__ for model in apps.get_app_config("jobs").get_models()]
    assert [name for name in models if not re.search(rf"\b{name}\b", TEXT)] == []


def test_the_numbers_are_those_of_the_code():
    assert debug_log.FILE_BYTES * debug_log.FILES == 100_000_000 and "five files" in TEXT
    assert retention.KEPT_BESIDE.days == 90 and "| 90 days;" in TEXT
    assert retention.KEPT_OF_SCHEDULE.days == 7 and "that went well, 7 |" in TEXT
    assert lock_out.MOST_STRANGERS == 10_000 and "10,000 of names" in TEXT


def test_compose_bounds_the_logs_as_the_table_says():
    found = re.search(r"max-size: (\d+)m, max-file: \"(\d+)\"", (ROOT / "compose.yaml").read_text())
    assert found and int(found[1]) * int(found[2]) == 100 and "compose 100 MB a service" in TEXT


@pytest.mark.parametrize("unit", ["run", "sync", "web"])
def test_the_services_write_their_log_to_the_journal_which_bounds_it(unit):
    assert "StandardOutput" not in (ROOT / "deploy" / "systemd" / f"jobrunner-{unit}.service").read_text()
