"""What tests of sync start from: a fake job-server over real HTTP, and a client of it that is this site's."""

from collections.abc import Callable, Iterator

import pytest

from sync.job_server import JobServer
from tests.fakes.job_server import FakeJobServer
from tests.git_repositories import make_repository

STUDY = """
version: '4.0'
actions:
  extract:
    run: python:v2 python extract.py
    outputs:
      highly_sensitive:
        rows: output/rows.csv
  count:
    run: python:v2 python count.py
    needs: [extract]
    outputs:
      moderately_sensitive:
        counts: output/counts.csv
  dataset:
    run: ehrql:v1 generate-dataset dataset.py --output output/dataset.csv
    outputs:
      highly_sensitive:
        dataset: output/dataset.csv
"""


@pytest.fixture
def fake(settings) -> Iterator[FakeJobServer]:
    """A job-server of today; this site's settings lead to it."""
    with FakeJobServer() as server:
        settings.BACKEND, settings.JOB_SERVER_ENDPOINT, settings.JOB_SERVER_TOKEN = (
            server.backend,
            server.url,
            server.token,
        )
        settings.JOB_SERVER_TIMEOUT_SECONDS = 5.0
        yield server


@pytest.fixture
def server(fake) -> Iterator[JobServer]:
    """The client that `manage.py sync` would make."""
    client = JobServer.from_settings()
    yield client
    client.close()


@pytest.fixture
def ask(fake, tmp_path) -> Callable[..., str]:
    """Somebody asks the job-server for actions of a real study; gives the request's identifier."""
    study = tmp_path / "study"
    commit = make_repository(study, {"project.yaml": STUDY})

    def ask_for(*actions: str, **columns) -> str:
        columns = {"repo_url": str(study), "commit": commit} | columns
        return fake.add_request(actions=list(actions), **columns).identifier

    return ask_for
