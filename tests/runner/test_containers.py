"""What a container is given, and above all what it is not."""

import pytest

from jobs import storage
from jobs.errors import JobError
from jobs.models import Job, JobRequest
from runner.containers import full_image_name, spec_for

SECRET = "mssql://patients:password@db/full"


@pytest.fixture(autouse=True)
def site(settings):
    settings.USING_DUMMY_DATA_BACKEND = False
    settings.DATABASE_URLS = {"default": SECRET, "full": "", "slice": "", "dummy": ""}
    settings.TEMP_DATABASE_NAME = "temp"
    settings.EMIS_ORGANISATION_HASH = ""
    settings.STATA_LICENSE = "serial-number"
    settings.DOCKER_REGISTRY = "ghcr.io/opensafely-core"


def job(**columns) -> Job:
    defaults = {
        "identifier": "abcdefgh23456722",
        "backend": "tpp",
        "workspace": "study",
        "action": "make_table",
        "image": "python:v2",
        "arguments": ["python", "analysis/table.py", "a b; rm -rf /"],
        "output_spec": {
            "highly_sensitive": {"rows": "output/rows.csv"},
            "moderately_sensitive": {"t": "output/t*.csv"},
        },
        "request": JobRequest(database_name="default"),
    }
    return Job(**defaults | columns)


def test_a_spec_is_made_of_the_jobs_columns():
    spec = spec_for(job(attempt=2))
    assert (spec.name, spec.job_id, spec.attempt) == ("jobrunner-abcdefgh23456722-2", "abcdefgh23456722", 2)
    assert spec.image == "ghcr.io/opensafely-core/python:v2"
    assert spec.workspace_folder == storage.job_workspace(job(attempt=2))
    assert spec.labels == {"workspace": "study", "action": "make_table"}
    assert sorted(spec.output_patterns) == ["output/rows.csv", "output/t*.csv"]


def test_the_command_is_never_a_shell_string():
    assert spec_for(job()).command == ("python", "analysis/table.py", "a b; rm -rf /")


def test_limits_come_from_the_settings(settings):
    settings.JOB_CPUS, settings.JOB_MEMORY_BYTES = 1.5, 12345678
    spec = spec_for(job())
    assert (spec.cpus, spec.memory_bytes) == (1.5, 12345678)


def test_an_ordinary_action_gets_no_network_and_no_secret():
    spec = spec_for(job())
    assert spec.network == ""
    assert spec.environment == {"OPENSAFELY_BACKEND": "tpp"}
    assert SECRET not in repr(spec)


def test_a_database_action_gets_the_databases_address_and_network(settings):
    spec = spec_for(job(requires_db=True, image="ehrql:v1"))
    assert spec.network == settings.DATABASE_ACCESS_NETWORK
    assert spec.environment == {"OPENSAFELY_BACKEND": "tpp", "DATABASE_URL": SECRET, "TEMP_DATABASE_NAME": "temp"}


def test_on_a_backend_with_dummy_data_no_action_gets_a_database(settings):
    settings.USING_DUMMY_DATA_BACKEND = True
    spec = spec_for(job(requires_db=True))
    assert (spec.network, spec.environment) == ("", {"OPENSAFELY_BACKEND": "tpp"})


@pytest.mark.parametrize("name", ["full", "unheard_of"])
def test_a_database_that_this_backend_lacks_fails_the_job_with_the_operators_remedy(name):
    with pytest.raises(JobError, match=f"{name.upper()}_DATABASE_URL") as failure:
        spec_for(job(requires_db=True, request=JobRequest(database_name=name)))
    assert SECRET not in str(failure.value)


def test_only_stata_gets_its_licence():
    assert spec_for(job(image="stata-mp:v1")).environment["STATA_LICENSE"] == "serial-number"
    assert "STATA_LICENSE" not in spec_for(job(image="r:v1")).environment


@pytest.mark.parametrize(
    ("image", "full_name"),
    [
        ("python:v2", "ghcr.io/opensafely-core/python:v2"),
        ("python:latest", "ghcr.io/opensafely-core/python:v1"),
        ("cohortextractor:latest", "ghcr.io/opensafely-core/cohortextractor:latest"),
    ],
)
def test_latest_means_the_first_version_except_for_the_cohortextractor(image, full_name):
    """Row N3 of the project requirements."""
    assert full_image_name(image) == full_name


def test_without_a_registry_the_image_keeps_its_short_name(settings):
    settings.DOCKER_REGISTRY = ""
    assert full_image_name("python:v2") == "python:v2"
