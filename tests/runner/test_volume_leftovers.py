"""Rules of volumes on a real engine that no job needs any more, and of those that are somebody else's."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import AuditEntry, Who
from jobs.states import StatusCode
from runner import reconciling
from runner.containers import spec_for
from runner.executors import docker as docker_executor
from runner.executors.base import ExecutorUnavailable, Phase
from runner.executors.docker import volumes as docker_volumes
from runner.executors.docker.volumes import VolumeGone
from runner.reconciling import VOLUME, look, remove
from tests import engine
from tests.factories import make_job
from tests.workspace_rigs import workspace_rig

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_docker]

OLIVE = Who("olive", AuditEntry.Via.COMMAND)


@pytest.fixture
def rig():
    with workspace_rig("volume") as made:
        yield made


@pytest.fixture
def hours_later(monkeypatch):
    monkeypatch.setattr(reconciling, "GRACE", -timedelta(hours=1))


def test_a_volume_whose_job_has_ended_is_removed_with_all_that_opens_it(rig, hours_later):
    job = make_job(StatusCode.PREPARING, image="python:v2")
    rig.prepare(job)
    assert look(rig.executor).leftovers == []
    opened = rig.executor.volumes.opened(job.container_name, "jobrunner-demo/python:v2")
    opened.__enter__()  # as a runner leaves it that is killed while it sends
    job.move_to(StatusCode.INTERNAL_ERROR, "A bug.")
    job.was_cleared = True
    job.save()

    (leftover,) = [each for each in look(rig.executor).leftovers if each.kind == VOLUME]

    assert (leftover.kind, leftover.name) == (VOLUME, job.container_name)
    assert remove(leftover, rig.executor, OLIVE, "tidying up") == ""
    assert VOLUME not in {each.kind for each in look(rig.executor).leftovers} and not rig.workspaces.is_there(job)
    assert AuditEntry.objects.get().object_id == job.container_name
    opened.__exit__(None, None, None)


def test_a_young_volume_is_spared(rig):
    job = make_job(StatusCode.SUCCEEDED, image="python:v2")
    rig.prepare(job)

    found = look(rig.executor)

    assert found.leftovers == [] and found.young == 2  # with its folder of notes


def test_a_volume_in_use_is_not_removed_and_says_so(rig, hours_later):
    job = make_job(StatusCode.SUCCEEDED, image="python:v2")
    rig.prepare(job)
    rig.run(job, "true")
    (leftover,) = [each for each in look(rig.executor).leftovers if each.kind == VOLUME]

    assert "in use" in remove(leftover, rig.executor, OLIVE, "tidying up")
    assert rig.workspaces.is_there(job)


def test_what_opens_a_volume_is_no_job_s_container(rig):
    job = make_job(StatusCode.PREPARING, image="python:v2")
    rig.prepare(job)

    with rig.executor.volumes.opened(job.container_name, "jobrunner-demo/python:v2"):
        assert rig.executor.statuses() == {}


def test_another_installation_s_volume_is_never_used_nor_removed(rig):
    name = f"test-{uuid.uuid4().hex[:12]}"
    volumes = rig.executor.volumes
    with engine.sdk() as client:
        client.create_volume(name, labels={"org.jobrunner.instance": "another"})
        try:
            with pytest.raises(ExecutorUnavailable, match="taken by a volume that is not this installation's"):
                volumes.make(name, "job")
            with pytest.raises(VolumeGone), volumes.opened(name, "jobrunner-demo/python:v2"):
                pass
            volumes.remove(name)
            assert not volumes.is_there(name) and name not in volumes.found()
            assert client.inspect_volume(name)["Labels"] == {"org.jobrunner.instance": "another"}
        finally:
            client.remove_volume(name)


def test_when_a_volume_was_made_is_told_in_utc(rig):
    job = make_job(StatusCode.PREPARING, image="python:v2")
    rig.prepare(job)

    identifier, made_at = rig.executor.volumes.found()[job.container_name]

    assert identifier == job.identifier
    assert abs(timezone.now() - made_at) < timedelta(minutes=1)


class TooLate:
    """A hand that removes a volume between the look at it and the making of the container that has it."""

    def __init__(self, monkeypatch, module, name: str):
        real = module.create

        def create(client, body, container):
            client.remove_volume(name)
            return real(client, body, container)

        monkeypatch.setattr(module, "create", create)


def test_a_job_is_not_started_on_the_empty_volume_that_the_engine_makes_for_one_that_was_removed(rig, monkeypatch):
    job = make_job(StatusCode.PREPARED, image="python:v2")
    rig.prepare(job)
    TooLate(monkeypatch, docker_executor, job.container_name)

    rig.executor.start(spec_for(job, job.container_name))

    status = rig.executor.status(job.container_name)
    assert status.phase is Phase.ABSENT and "volume" in status.reason
    with engine.sdk() as client:
        assert job.container_name not in {each["Name"] for each in client.volumes()["Volumes"] or []}


def test_nothing_is_fetched_from_such_a_volume_either(rig, monkeypatch):
    job = make_job(StatusCode.FINALIZING, image="python:v2")
    rig.prepare(job)
    TooLate(monkeypatch, docker_volumes, job.container_name)

    with pytest.raises(VolumeGone), rig.executor.volumes.opened(job.container_name, "jobrunner-demo/python:v2"):
        pass

    with engine.sdk() as client:
        assert job.container_name not in {each["Name"] for each in client.volumes()["Volumes"] or []}
