"""One deadline, and one stop, for all that git does in a block, however many calls and servers it takes."""

import contextlib
import fcntl
import threading
import time

import pytest

from jobs import git
from jobs.errors import Stopped
from jobs.git import asking
from tests.git_processes import processes_that_mention, wait_until
from tests.git_repositories import commit, make_repository

# Far below git's own time limit, far above what a busy machine needs.
A_MOMENT = 10
A_BLINK = 0.3
TOO_LONG = r"^Reading the study took longer than 0\.3 seconds\.$"


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "served" / "study"
    make_repository(path, {"project.yaml": "version: 1\n"})
    return path


@pytest.fixture
def server(serve, study):
    with serve(study.parent) as running:
        yield running


@pytest.fixture
def soon():
    """Ends a test that would wait for git's own time limit instead."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < A_MOMENT


@pytest.mark.parametrize("call", ["resolve", "is_on_branch", "read_file", "export"])
def test_a_server_that_hangs_is_given_up_when_the_time_of_the_block_is_over(server, study, soon, call):
    sha = commit(study, {"x": "y"})
    server.faults.append("hang")
    arguments = {"resolve": ("main",), "read_file": (sha, "x"), "is_on_branch": (sha, "main"), "export": (sha,)}
    with git.within(A_BLINK), pytest.raises(git.GitUnavailable, match=TOO_LONG), contextlib.ExitStack() as stack:
        result = getattr(git, call)(f"{server.url}/study", *arguments[call])
        stack.enter_context(result)  # an export begins only now

    wait_until(lambda: not processes_that_mention(server.url))


def test_calls_after_the_end_of_the_time_fail_at_once(study, soon):
    with git.within(0), pytest.raises(git.GitUnavailable, match="took longer than 0 seconds"):
        git.resolve(str(study), "main")


def test_no_other_try_is_made_that_the_block_has_no_time_for(server, soon, monkeypatch):
    monkeypatch.setattr(asking, "_FIRST_PAUSE_SECONDS", 50)
    server.faults.extend(["500"] * 10)
    with git.within(A_MOMENT), pytest.raises(git.GitUnavailable, match="does not answer properly"):
        git.resolve(f"{server.url}/study", "main")


def test_waiting_for_another_process_that_fetches_ends_with_the_block(study, settings, soon):
    git.resolve(str(study), "main")
    commit(study, {"x": "z"})
    (lock,) = settings.GIT_REPO_DIR.glob("*.lock")
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with git.within(A_BLINK), pytest.raises(git.GitUnavailable, match=TOO_LONG):
            git.resolve(str(study), "main")


def test_a_call_keeps_its_own_shorter_time(server, settings, soon):
    settings.GIT_TIMEOUT_SECONDS = 1
    server.faults.append("hang")
    with git.within(60), pytest.raises(git.GitUnavailable, match=r"did not finish with .* within 1 seconds"):
        git.resolve(f"{server.url}/study", "main")


def test_a_stop_of_the_block_ends_what_is_at_work(server, soon):
    stop = threading.Event()
    server.faults.append("hang")
    server.on_request = stop.set
    with git.within(60, stop.is_set), pytest.raises(Stopped):
        git.resolve(f"{server.url}/study", "main")

    wait_until(lambda: not processes_that_mention(server.url))


@pytest.mark.parametrize("seconds", [(A_BLINK, 60), (60, A_BLINK)])
def test_of_nested_blocks_the_stricter_counts(server, soon, seconds):
    server.faults.append("hang")
    with git.within(seconds[0]), git.within(seconds[1]), pytest.raises(git.GitUnavailable, match=TOO_LONG):
        git.resolve(f"{server.url}/study", "main")


def test_after_the_block_git_has_its_own_time_again(server, soon):
    with pytest.raises(RuntimeError), git.within(0):
        raise RuntimeError("the block ends badly")

    assert git.resolve(f"{server.url}/study", "main")


def test_other_threads_are_not_bounded(study):
    found = []
    with git.within(0):
        thread = threading.Thread(target=lambda: found.append(git.resolve(str(study), "main")))
        thread.start()
        thread.join(A_MOMENT)

    assert len(found) == 1
