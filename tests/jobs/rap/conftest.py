"""A site with the RAP API switched on: its backend is `test`, and two job-servers hold a token."""

import pytest

from jobs.models import Heartbeat
from tests.rap import OTHER_TOKEN, TOKEN, Caller


@pytest.fixture(autouse=True)
def site(settings):
    settings.BACKEND = "test"
    settings.RAP_API_TOKENS = {TOKEN: frozenset({"test", "tpp"}), OTHER_TOKEN: frozenset({"emis"})}
    settings.RAP_CREATE_TIMEOUT_SECONDS = 20.0


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture
def planner_lives(transactional_db) -> None:
    """The process of `manage.py sync` has just shown that it lives."""
    Heartbeat.beat("sync")
