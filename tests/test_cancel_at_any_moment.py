"""A cancel at every moment of a job's life: either it was cancelled and nothing changed, or it had succeeded whole."""

import hashlib
import json
import time

import pytest

from jobs import storage
from jobs.models import Job, JobOutput
from jobs.states import StatusCode
from runner.loop import Runner
from tests.engine import UID, docker_executor, tiny_image
from tests.factories import make_job, make_request
from tests.git_repositories import make_repository
from tests.site import wait_until

pytestmark = [pytest.mark.needs_docker, pytest.mark.slow_test, pytest.mark.django_db(transaction=True)]

JOBS = 20
SCRIPT = "mkdir -p output; for n in 1 2 3 4 5; do head -c 300000 /dev/urandom | od > output/$n.txt; done"


def ask_for_the_action_again(repository, commit: str, workspace: str) -> Job:
    request = make_request(workspace=workspace, repo_url=str(repository), commit=commit)
    name, _, tag = tiny_image().rpartition("/")[2].partition(":")
    return make_job(
        request=request,
        action="make_table",
        image=f"{name}:{tag}",
        arguments=["sh", "make.sh"],
        output_spec={"highly_sensitive": {"all": "output/*.txt"}},
    )


def stored(workspace: str) -> dict[str, str]:
    folder = storage.high_privacy_workspace(workspace)
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def run_and_cancel_after(runner: Runner, delays: dict[int, float]) -> None:
    """Each job is cancelled when it has existed for its delay; ends when all have ended."""
    began = time.monotonic()

    def turn() -> bool:
        for job in Job.objects.active().filter(stop_request="", pk__in=delays):
            if time.monotonic() - began >= delays[job.pk]:
                job.request_cancel("alice", "changed her mind")
        left = runner.tick()
        if left:
            runner.wake.wait(0.02)
        return left == 0

    wait_until(turn, seconds=90, what="the end of all jobs")


def test_a_cancel_at_any_moment_leaves_the_earlier_outputs_or_a_whole_success(tmp_path, settings):
    settings.MAX_WORKERS = JOBS
    settings.JOB_USER_ID = settings.JOB_GROUP_ID = UID
    settings.DOCKER_REGISTRY = tiny_image().rpartition("/")[0]
    commit = make_repository(tmp_path / "study", {"make.sh": SCRIPT})
    with docker_executor() as executor:
        runner = Runner(executor)
        try:
            first = {n: ask_for_the_action_again(tmp_path / "study", commit, f"w{n}") for n in range(JOBS)}
            began = time.monotonic()
            run_and_cancel_after(runner, {})
            took = time.monotonic() - began
            assert {job.status_code for job in Job.objects.all()} == {StatusCode.SUCCEEDED}
            before = {n: stored(f"w{n}") for n in first}
            second = {n: ask_for_the_action_again(tmp_path / "study", commit, f"w{n}") for n in first}
            run_and_cancel_after(runner, {job.pk: n / JOBS * took for n, job in second.items()})
        finally:
            runner.close()
        assert executor.statuses() == {}
    ends = []
    for n, job in second.items():
        job.refresh_from_db()
        ends.append(job.status_code)
        manifest = json.loads(storage.manifest(storage.high_privacy_workspace(f"w{n}")).read_text())
        makers = {entry["job_id"] for entry in manifest["outputs"].values()}
        current = set(JobOutput.objects.current().filter(job__workspace=f"w{n}").values_list("job", flat=True))
        if job.status_code == StatusCode.SUCCEEDED:
            assert makers == {job.identifier} and current == {job.pk}
        else:
            assert job.status_code == StatusCode.CANCELLED_BY_USER
            assert stored(f"w{n}") == before[n]
            assert makers == {first[n].identifier} and current == {first[n].pk}
        assert not storage.job_folder(job).parent.exists()
    assert StatusCode.CANCELLED_BY_USER in ends
