"""What the runner says of itself: enough for the pages, bounded, and nothing that is nobody's business."""

import json
import threading

import pytest

from jobs import version as version_module
from jobs.models import Heartbeat
from jobs.states import StatusCode
from jobs.version import version
from runner.containers import spec_for
from runner.engine_watch import MOST_ANSWERS, EngineWatch
from runner.executors.fake import FakeExecutor, FakeRun
from runner.loop import Runner
from tests.factories import make_flag, make_job
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor(lambda spec: FakeRun(until=threading.Event()))


def said_by(runner: Runner) -> dict:
    try:
        wait_until(runner._disks.report, what="the first look at the disks")
        wait_until(runner._engine_watch.answers, what="the first answer of the engine")
        runner._last_beat = 0.0
        runner.tick()
        return Heartbeat.objects.get(name="run").detail
    finally:
        runner.close()


def test_a_sign_of_life_tells_engine_disks_and_slots(executor, settings):
    settings.MAX_WORKERS, settings.MAX_DB_WORKERS = 4, 2
    executor.start(spec_for(make_job(StatusCode.EXECUTING, action="secret_action")))
    detail = said_by(Runner(executor))
    assert detail["slots"] == {
        "workers": {"used": 1.0, "limit": 4},
        "database workers": {"used": 0, "limit": 2},
    }
    assert detail["engine"].startswith("the fake executor") and detail["engine_answers"][-1]["ms"] >= 0
    assert detail["engine_unavailable_since"] is None and detail["tick_ms"] >= 0 and detail["list_ms"] >= 0
    assert {disk["name"] for disk in detail["disks"]} == {
        "the jobs' folders", "high privacy storage", "medium privacy storage",
    }  # fmt: skip
    assert all(0 < disk["least"] < disk["total"] and disk["free"] > 0 for disk in detail["disks"])
    assert detail["pid"] and detail["host"] and detail["started_at"].endswith("Z") and detail["version"]
    assert detail["registry"] == settings.DOCKER_REGISTRY
    assert "secret_action" not in json.dumps(detail) and str(settings.WORK_DIR) not in json.dumps(detail)


def test_why_nothing_starts_is_told_for_each_pool(executor):
    make_flag(reason="x" * 5000)
    held = said_by(Runner(executor))["why_held"]
    assert set(held) == {"workers", "database workers"}
    assert all(
        sentence.startswith("The backend is paused (olive") and len(sentence) <= 300 for sentence in held.values()
    )


def test_the_engine_is_known_to_be_silent_although_no_job_runs(executor):
    executor.unavailable = "The Docker engine does not answer. " + "x" * 5000
    detail = said_by(Runner(executor))
    assert detail["engine_unavailable_since"] > 0
    assert detail["engine_answers"][-1]["error"].startswith("The Docker engine does not answer.")
    assert len(json.dumps(detail)) < 10_000


def test_of_the_engines_answers_the_last_ones_are_kept(executor):
    watch = EngineWatch(executor)
    watch.close()
    wait_until(lambda: not watch._thread.is_alive(), 20, "the end of its own first question")
    for _ in range(MOST_ANSWERS + 5):
        watch.ask()
    executor.unavailable = "gone"
    watch.ask()
    assert len(watch.answers()) == MOST_ANSWERS
    assert (watch.answers()[-1]["error"], watch.silent_since is None) == ("gone", False)
    executor.unavailable = ""
    watch.ask()
    assert watch.silent_since is None


@pytest.mark.parametrize("head", ["a" * 40, "ref: refs/heads/main", "ref: refs/heads/packed"])
def test_the_version_is_the_commit_read_without_git(settings, tmp_path, head):
    git = tmp_path / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text(f"{head}\n")
    (git / "refs/heads/main").write_text("a" * 40 + "\n")
    (git / "packed-refs").write_text(f"# pack-refs with: peeled\n{'a' * 40} refs/heads/packed\n^{'b' * 40}\n")
    settings.BASE_DIR = tmp_path
    assert version.__wrapped__() == "a" * 12


def test_without_a_working_copy_it_is_the_packages(settings, tmp_path, monkeypatch):
    settings.BASE_DIR = tmp_path
    monkeypatch.setattr(version_module.metadata, "version", lambda name: "2.0")
    assert version.__wrapped__() == "2.0"
