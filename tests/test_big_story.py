"""The whole system once more, now with everything real but the job-server: git, HTTP, containers and both processes.

Alice asks for a small study in every way that matters: what succeeds, what fails and what depends on it, what she
cancels, a reusable action, what her own first request does or has done already, and what nobody can plan.
"""

import contextlib
import uuid
from collections.abc import Iterator

import docker
import pytest

from tests.engine import demo_images, remove_all
from tests.fakes.eras import ERAS
from tests.fakes.job_server import FakeJobServer
from tests.git_repositories import commit, git, make_repository
from tests.site import Site, wait_until

CANARY = "canary-7f3a9c-of-one-patient"
STUDY = {
    "project.yaml": """
version: '4.0'
actions:
  extract:
    run: python:v2 sh analysis/extract.sh
    outputs: {highly_sensitive: {rows: output/rows.csv}}
  count:
    run: r:v2 sh analysis/count.sh
    needs: [extract]
    outputs: {moderately_sensitive: {counts: output/counts.csv}}
  fail:
    run: python:v2 sh analysis/fail.sh
    needs: [extract]
    outputs: {highly_sensitive: {nothing: output/nothing.csv}}
  never_begins:
    run: python:v2 sh analysis/count.sh
    needs: [fail]
    outputs: {highly_sensitive: {nothing: output/nothing_either.csv}}
  take_long:
    run: python:v2 sh analysis/take_long.sh
    outputs: {highly_sensitive: {nothing: output/at_last.csv}}
  summarise:
    run: summariser:v1 --of output/counts.csv
    needs: [count]
    outputs: {moderately_sensitive: {summary: output/summary.txt}}
""",
    "analysis/extract.sh": f"mkdir -p output\nprintf 'region,name\\nnorth,{CANARY}\\n' > output/rows.csv",
    "analysis/count.sh": "printf 'region,count\\nnorth,120\\n' > output/counts.csv",
    "analysis/fail.sh": "cat output/rows.csv; cat output/rows.csv >&2; exit 3",
    "analysis/take_long.sh": "echo it begins; sleep 600",
}
FIRST = ["count", "fail", "never_begins", "take_long"]

pytestmark = [pytest.mark.needs_docker, pytest.mark.slow_test]


@pytest.fixture(params=sorted(ERAS))
def fake(request) -> Iterator[FakeJobServer]:
    with FakeJobServer(era=request.param) as server:
        yield server


@pytest.fixture
def site(fake, tmp_path) -> Iterator[Site]:
    demo_images()
    publish_action(tmp_path / "actions" / "summariser")
    settings = {
        "BACKEND": fake.backend,
        "JOB_SERVER_ENDPOINT": fake.url,
        "JOB_SERVER_TOKEN": fake.token,
        "ACTIONS_ORG_URL": str(tmp_path / "actions"),
        "POLL_INTERVAL": "0.3",
        "INSTANCE": f"big-story-{uuid.uuid4().hex[:8]}",
    }
    try:
        with Site(tmp_path / "site", **settings) as found:
            yield found
    finally:
        remove_all(settings["INSTANCE"])  # what a test that failed has left


@pytest.fixture
def ask(fake, tmp_path):
    sha = make_repository(tmp_path / "study", STUDY)

    def ask_for(*actions: str) -> str:
        study = {"repo_url": str(tmp_path / "study"), "commit": sha, "branch": "main", "workspace": "story"}
        return fake.add_request(actions=actions, **study).identifier

    return ask_for


def publish_action(path) -> None:
    """A reusable action whose v1 somebody has made on a branch of its own, which was then merged to main."""
    make_repository(path, {"README.md": "It summarises."})
    git(path, "switch", "--quiet", "--create", "work")
    summarise = 'echo "$1 $2" > output/summary.txt; wc -l < "$2" >> output/summary.txt'
    commit(path, {"action.yaml": "run: python:v2 sh analysis/summarise.sh\n", "analysis/summarise.sh": summarise})
    git(path, "tag", "v1")
    git(path, "switch", "--quiet", "main")
    git(path, "merge", "--quiet", "--no-ff", "--message=Merge", "work")


def codes(fake: FakeJobServer, request: str) -> dict[str, str]:
    """Action -> status code, as the job-server knows them."""
    return {job["action"]: job["status_code"] for job in fake.jobs(request)}


def containers(site: Site) -> list:
    with contextlib.closing(docker.from_env()) as client:
        label = f"org.jobrunner.instance={site.environment['INSTANCE']}"
        return client.containers.list(all=True, filters={"label": label})


def test_everything_that_alice_asks_for_ends_as_it_should_and_the_job_server_hears_only_that(fake, site, ask):
    first, hopeless = ask(*FIRST), ask("cuont")
    processes = [site.start("run"), site.start("sync")]
    settled = {"extract": "succeeded", "count": "succeeded", "fail": "nonzero_exit"}
    expected = settled | {"never_begins": "dependency_failed", "take_long": "executing"}
    wait_until(lambda: codes(fake, first) == expected, 60, "the first request's containers")

    reusing, joining = ask("summarise"), ask("take_long")
    wait_until(lambda: codes(fake, reusing) == {"summarise": "succeeded"}, 60, "the reusable action")
    wait_until(lambda: codes(fake, joining) == {"take_long": "executing"}, 60, "the joined job")
    fake.cancel(first, ["take_long"])
    wait_until(lambda: fake.unfinished_requests() == [], 60, "the cancelled job's end")

    for process in processes:
        process.terminate()
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 0 and "Traceback" not in output and CANARY not in output, output
    fake.store.evaluate()  # somebody looks at the pages
    assert codes(fake, first) == expected | {"take_long": "cancelled_by_user"}
    assert codes(fake, joining) == {"take_long": "cancelled_by_user"}
    statuses = [fake.status(request) for request in (first, hopeless, reusing, joining)]
    assert statuses == ["failed", "failed", "succeeded", "failed"]
    (error,) = fake.jobs(hopeless)
    assert error["action"] == "__error__" and "'cuont' not found" in error["status_message"]
    assert containers(site) == []
    check_outputs(site)
    check_what_the_job_server_received(fake)


def check_outputs(site: Site) -> None:
    """Every output lies where its privacy level allows, and nowhere else."""
    levels = {path: entry["level"] for path, entry in site.manifest(site.high, "story")["outputs"].items()}
    assert levels == {
        "output/rows.csv": "highly_sensitive",
        "output/counts.csv": "moderately_sensitive",
        "output/summary.txt": "moderately_sensitive",
    }
    high, medium = (base / "workspaces" / "story" for base in (site.high, site.medium))
    assert CANARY in (high / "output" / "rows.csv").read_text()
    assert {path.name for path in (medium / "output").iterdir()} == {"counts.csv", "summary.txt"}
    assert (medium / "output" / "summary.txt").read_text() == "--of output/counts.csv\n2\n"
    assert not [file for file in site.medium.rglob("*") if file.is_file() and CANARY.encode() in file.read_bytes()]


def check_what_the_job_server_received(fake: FakeJobServer) -> None:
    assert fake.journal.complaints() == []
    assert fake.journal.posts and all(post.jobs for post in fake.journal.posts)
    for received in fake.journal.received:
        assert CANARY.encode() not in received.body
        assert CANARY not in f"{received.target} {received.headers}"
