"""Servers that are slow, failing, private or hostile: a real git against a real loopback server."""

import base64
import logging
import os
import time

import pytest

from jobs import git
from jobs.git import process
from jobs.git.errors import GitFailed, explain, scrub
from jobs.git.names import check_repo
from jobs.git.process import may_have_token
from tests.git_processes import processes_that_mention, start_resolve, wait_until
from tests.git_repositories import commit, make_repository
from tests.git_repositories import git as run_git

TOKEN = "ghp_VerySecretTokenOfTheRunner"
ENCODED = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "served" / "study"
    make_repository(path, {"project.yaml": "version: 1\n"})
    return path


@pytest.fixture
def server(serve, study):
    with serve(study.parent) as server:
        yield server


@pytest.fixture
def private_server(serve, study):
    with serve(study.parent, token=TOKEN) as server:
        yield server


@pytest.mark.parametrize("fault", ["500", "502", "503", "429", "drop", "cut"])
@pytest.mark.parametrize("at_request", [0, 1, 3])
def test_trouble_on_the_way_is_tried_again(server, study, fault, at_request):
    server.faults.extend([""] * at_request + [fault])

    assert git.resolve(f"{server.url}/study", "main") == run_git(study, "rev-parse", "HEAD")
    assert not server.faults


@pytest.mark.parametrize("fault", ["refs", "zeros"])
def test_a_server_that_fills_gits_memory_is_given_up(server, monkeypatch, fault):
    monkeypatch.setattr(process, "_MOST_MEMORY", 64 * 1024**2)
    server.faults.append(fault)

    with pytest.raises(git.GitError, match="made git use more memory than this site allows"):
        git.resolve(f"{server.url}/study", "main")


def test_only_a_git_that_talks_to_a_server_has_a_limit_of_memory(monkeypatch, study):
    monkeypatch.setattr(process, "_MOST_MEMORY", 1024)

    assert git.resolve(str(study), "main")


@pytest.mark.slow_test
def test_a_server_that_keeps_failing_is_unavailable_and_was_tried_three_times(server):
    server.faults.extend(["500"] * 10)

    with pytest.raises(git.GitUnavailable, match=r"does not answer properly.*500"):
        git.resolve(f"{server.url}/study", "main")

    assert len(server.requests) == 3


@pytest.mark.slow_test
def test_a_server_that_is_not_there_is_unavailable(settings):
    settings.GIT_ALLOW_HTTP, settings.ALLOWED_GIT_HOSTS = True, ("127.0.0.1:9",)
    settings.ALLOWED_GITHUB_ORGS = ("*",)
    with pytest.raises(git.GitUnavailable, match=r"127\.0\.0\.1:9/study"):
        git.resolve("http://127.0.0.1:9/study", "main")


@pytest.mark.parametrize("fault", ["401", "403", "404", "410"])
def test_a_plain_refusal_is_final_and_says_what_to_look_at(server, fault):
    server.faults.extend([fault] * 10)

    with pytest.raises(git.GitError, match="was not found, or is not readable with the runner's token"):
        git.resolve(f"{server.url}/study", "main")

    assert len(server.requests) == 1


def test_a_repository_that_the_server_does_not_have_is_final(server):
    with pytest.raises(git.GitError, match="/nothing was not found"):
        git.resolve(f"{server.url}/nothing", "main")


def test_a_redirect_is_never_followed(serve, server, study):
    with serve(study.parent) as other:
        server.faults.append(f"301 {other.url}/study/info/refs?service=git-upload-pack")

        with pytest.raises(git.GitError, match="has moved"):
            git.resolve(f"{server.url}/study", "main")

        assert other.requests == []


def test_silence_ends_at_the_deadline_and_leaves_no_git_behind(server, settings):
    settings.GIT_TIMEOUT_SECONDS = 0.5
    server.faults.append("hang")
    started = time.monotonic()

    with pytest.raises(git.GitUnavailable, match=r"did not finish with .* within 0\.5 seconds"):
        git.resolve(f"{server.url}/study", "main")

    assert time.monotonic() - started < 5
    # Killed with its group, but a grandchild is another process's to bury: the kernel may take a moment.
    wait_until(lambda: not processes_that_mention(server.url))


def test_another_repository_of_a_silent_server_can_be_read_meanwhile(server, study, settings):
    other = make_repository(study.parent / "other", {"project.yaml": "x"})
    commit_id = run_git(study, "rev-parse", "HEAD")
    git.resolve(f"{server.url}/study", commit_id)
    server.faults.append("hang")
    silent = start_resolve(settings, f"{server.url}/study", "main")
    try:
        wait_until(lambda: not server.faults)

        assert git.resolve(f"{server.url}/other", other) == other
        assert git.read_file(f"{server.url}/study", commit_id, "project.yaml") == b"version: 1\n"
    finally:
        server.stopping.set()
        silent.kill()
        silent.wait()


def test_a_fetch_larger_than_the_site_allows_is_stopped(server, study, settings, monkeypatch):
    monkeypatch.setattr("jobs.git.process._PACK_OVERHEAD", 0)
    settings.GIT_MAX_BYTES = 1_000_000
    sha = commit(study, {"large": os.urandom(3_000_000)})

    with pytest.raises(git.GitError, match="larger than this site accepts"):
        git.resolve(f"{server.url}/study", sha)

    assert git.resolve(f"{server.url}/study", run_git(study, "rev-parse", "HEAD~1"))


def test_a_listing_that_never_ends_is_refused(server, study, monkeypatch):
    monkeypatch.setattr("jobs.git.asking._MOST_REFS_BYTES", 1000)
    for number in range(20):
        run_git(study, "branch", f"branch-with-a-long-name-{number}")

    with pytest.raises(git.GitError, match="more than this site is willing to read"):
        git.resolve(f"{server.url}/study", "main")


def test_a_private_repository_is_read_with_the_runners_token(private_server, study, settings):
    settings.PRIVATE_REPO_ACCESS_TOKEN = TOKEN
    settings.GIT_TOKEN_HOSTS = (private_server.host,)
    repo = f"{private_server.url}/study"
    first = run_git(study, "rev-parse", "HEAD")
    commit(study, {"x": "y"})

    assert git.resolve(repo, first) == first
    assert git.is_on_branch(repo, first, "main")
    assert git.read_file(repo, first, "project.yaml") == b"version: 1\n"


def test_without_the_token_a_private_repository_is_refused_with_the_usual_sentence(private_server):
    with pytest.raises(git.GitError, match="not readable with the runner's token"):
        git.resolve(f"{private_server.url}/study", "main")


def test_only_the_named_hosts_get_the_token(server, study, settings):
    settings.PRIVATE_REPO_ACCESS_TOKEN = TOKEN
    settings.GIT_TOKEN_HOSTS = ("github.com", "127.0.0.1", "127.0.0.1:1")

    git.resolve(f"{server.url}/study", "main")

    assert set(server.authorizations) == {None}


def test_the_token_does_not_follow_a_redirect(serve, server, study, settings):
    settings.PRIVATE_REPO_ACCESS_TOKEN = TOKEN
    settings.GIT_TOKEN_HOSTS = (server.host,)
    with serve(study.parent) as other:
        server.faults.append(f"302 {other.url}/study/info/refs?service=git-upload-pack")
        with pytest.raises(git.GitError):
            git.resolve(f"{server.url}/study", "main")

        assert server.authorizations == [f"Basic {ENCODED}"]
        assert other.requests == []


def test_the_token_is_never_sent_over_a_line_that_others_can_read(settings):
    settings.GIT_TOKEN_HOSTS = ("github.com",)
    settings.GIT_ALLOW_HTTP, settings.ALLOWED_GITHUB_ORGS = True, ("*",)
    settings.ALLOWED_GIT_HOSTS = ("github.com", "github.com.evil.example", "evil.example")

    assert may_have_token(check_repo("https://github.com/org/repo"))
    assert not may_have_token(check_repo("http://github.com/org/repo"))
    assert not may_have_token(check_repo("https://github.com.evil.example/org/repo"))
    assert not may_have_token(check_repo("https://evil.example/github.com/repo"))


def test_the_token_is_in_no_command_line(private_server, study, settings):
    settings.PRIVATE_REPO_ACCESS_TOKEN = TOKEN
    settings.GIT_TOKEN_HOSTS = (private_server.host,)
    seen = []
    private_server.on_request = lambda: seen.extend(processes_that_mention("").values())

    git.resolve(f"{private_server.url}/study", "main")

    assert any(private_server.url in line and "fetch" in line for line in seen)
    assert not [line for line in seen if TOKEN in line or ENCODED in line]


@pytest.mark.parametrize("fault", ["401", "404", "500", "drop", "301 http://x/"])
def test_the_token_is_in_no_message_log_or_file(private_server, settings, caplog, fault):
    settings.PRIVATE_REPO_ACCESS_TOKEN = TOKEN
    settings.GIT_TOKEN_HOSTS = (private_server.host,)
    caplog.set_level(logging.DEBUG)
    repo = f"{private_server.url}/study"
    git.resolve(repo, "main")
    private_server.faults.extend([fault] * 5)

    with pytest.raises((git.GitError, git.GitUnavailable)) as caught:
        git.resolve(repo, "main")

    stored = b"".join(path.read_bytes() for path in settings.GIT_REPO_DIR.rglob("*") if path.is_file()).decode(
        "latin-1"
    )
    everything = caplog.text + repr(caught.value) + repr(caught.value.__context__) + stored
    assert TOKEN not in everything
    assert ENCODED not in everything


def test_what_git_says_is_shown_without_secrets(settings):
    settings.PRIVATE_REPO_ACCESS_TOKEN = TOKEN

    text = scrub(f"fatal: https://alice:pw@host/x {TOKEN} Basic {ENCODED}")

    assert text == "fatal: https://***@host/x *** Basic ***"


@pytest.mark.parametrize("unit", ["/", "//", "?", "&", "a//", "expected ", "repository '", "exec: ", "://@"])
def test_what_a_server_says_takes_time_that_grows_no_faster_than_its_length(unit):
    """Quadratic would be sixteen times, and nobody else runs meanwhile: regular expressions let no other thread in."""

    def seconds(length: int) -> float:
        begun = time.process_time()
        explain(GitFailed(unit * (length // len(unit))), "https://example.org/study")
        return time.process_time() - begun

    once = min(seconds(20_000) for _ in range(2))
    assert seconds(80_000) < 9 * once + 0.2


def test_a_local_repository_of_another_user_can_be_read(study, settings):
    if os.getuid() != 0:
        pytest.skip("only root can give files away")
    sha = run_git(study, "rev-parse", "HEAD")
    for path in [study, *study.rglob("*")]:
        os.chown(path, 12345, 12345)

    assert git.resolve(str(study), "main") == sha
    assert git.resolve(str(study), sha[:8]) == sha
    assert git.read_file(str(study), sha, "project.yaml") == b"version: 1\n"
