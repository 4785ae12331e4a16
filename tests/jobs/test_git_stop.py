"""Git that is no longer wanted: it ends within a moment, leaves no process behind, and spoils nothing."""

import fcntl
import os
import tarfile
import threading
import time

import pytest

from jobs import git
from jobs.errors import Stopped
from jobs.git import asking
from jobs.git.deadline import Deadline
from jobs.git.process import run
from tests.git_processes import processes_that_mention, wait_until
from tests.git_repositories import make_repository

# Far below git's own time limit, far above what a busy machine needs.
A_MOMENT = 5


@pytest.fixture
def stop():
    return threading.Event()


@pytest.fixture
def server(serve, tmp_path):
    with serve(tmp_path) as running:
        yield running


def stopped_export(repo: str, commit: str, stop: threading.Event) -> float:
    """How many seconds an export went on after the stop was asked for."""
    started = time.monotonic()
    with pytest.raises(Stopped), git.export(repo, commit, should_stop=stop.is_set) as stream:
        while stream.read(1 << 16):
            pass
    return time.monotonic() - started


def test_a_fetch_from_a_server_that_hangs_ends_at_a_stop_and_leaves_no_process(server, stop, tmp_path):
    sha = make_repository(tmp_path / "study", {"x": "y"})
    server.faults.append("hang")
    server.on_request = stop.set

    assert stopped_export(f"{server.url}/study", sha, stop) < A_MOMENT

    wait_until(lambda: not processes_that_mention(server.url))


def test_after_a_stopped_fetch_the_next_one_gives_the_whole_commit(server, stop, tmp_path):
    sha = make_repository(tmp_path / "study", {"x": "y"})
    server.faults.append("hang")
    server.on_request = stop.set
    stopped_export(f"{server.url}/study", sha, stop)

    with git.export(f"{server.url}/study", sha) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        assert [member.name for member in tar] == ["x"]


def test_the_pause_before_another_try_ends_at_a_stop(server, stop, tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "_FIRST_PAUSE_SECONDS", 50)
    sha = make_repository(tmp_path / "study", {"x": "y"})
    server.faults.extend(["500"] * 10)
    # Late enough for git to have told of its failure.
    server.on_request = lambda: threading.Timer(0.5, stop.set).start()

    assert stopped_export(f"{server.url}/study", sha, stop) < A_MOMENT

    assert len(server.requests) == 1


def test_waiting_for_another_process_that_fetches_ends_at_a_stop(stop, tmp_path, settings):
    sha = make_repository(tmp_path / "study", {"x": "y"})
    git.resolve(str(tmp_path / "study"), sha)
    other = make_repository(tmp_path / "study2", {"x": "z"})
    (lock,) = settings.GIT_REPO_DIR.glob("*.lock")
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        threading.Timer(0.2, stop.set).start()
        assert stopped_export(str(tmp_path / "study"), other, stop) < A_MOMENT


def test_reading_an_export_ends_at_a_stop(stop, tmp_path):
    sha = make_repository(tmp_path / "study", {"large": os.urandom(4_000_000)})
    with pytest.raises(Stopped), git.export(str(tmp_path / "study"), sha, should_stop=stop.is_set) as stream:
        stream.read(1000)
        stop.set()
        stream.read()


@pytest.mark.slow_test
def test_a_git_that_ignores_requests_to_end_is_killed_at_a_stop(stop, tmp_path):
    marker = str(tmp_path / "of this test")
    threading.Timer(0.3, stop.set).start()
    alias = f"alias.x=!trap '' TERM; echo {marker}; sleep 600; true"
    with pytest.raises(Stopped):
        run(["-c", alias, "x"], Deadline(60, stop.is_set), most_bytes=100)

    wait_until(lambda: not processes_that_mention(marker))
