"""Running git: nothing of the surroundings gets in, and it always ends."""

import shutil
import time
from pathlib import Path

import pytest

from jobs import git
from jobs.git.errors import GitFailed, explain
from jobs.git.names import check_repo
from jobs.git.process import Deadline, GitProcess, environment, run
from tests.git_processes import wait_until
from tests.git_repositories import make_repository


def git_with_alias(command):
    """Arguments that make git run a shell command as its child, as its helpers are."""
    return ["-c", f"alias.x=!{command}", "x"]


def test_nothing_of_the_callers_environment_reaches_git(monkeypatch):
    for name in ("GIT_DIR", "GIT_SSH_COMMAND", "GIT_TRACE", "GIT_CONFIG_PARAMETERS", "SECRET_KEY", "GIT_ASKPASS"):
        monkeypatch.setenv(name, "leaked")

    seen = run(git_with_alias("env"), Deadline(10), most_bytes=100_000).decode()

    assert "leaked" not in seen
    assert "GIT_TERMINAL_PROMPT=0" in seen


def test_a_call_that_needs_no_remote_may_use_no_transport():
    assert environment(None)["GIT_ALLOW_PROTOCOL"] == "none"
    assert environment(check_repo("https://github.com/opensafely/b"))["GIT_ALLOW_PROTOCOL"] == "https"
    assert environment(check_repo("/a/b"))["GIT_ALLOW_PROTOCOL"] == "file"


def test_nothing_is_fetched_or_replaced_behind_our_back():
    variables = environment(None)
    assert (variables["GIT_NO_LAZY_FETCH"], variables["GIT_NO_REPLACE_OBJECTS"]) == ("1", "1")


def test_the_configuration_of_the_user_and_the_machine_is_not_read(tmp_path, monkeypatch):
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Mallory\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    origins = run(["config", "--list", "--show-origin"], Deadline(10), most_bytes=100_000).decode()

    assert "Mallory" not in origins
    assert {line.split()[0] for line in origins.splitlines()} == {"command"}


def test_a_site_may_name_a_proxy_and_its_password_stays_out_of_sight(settings):
    settings.GIT_PROXY = "http://alice:hunter2@proxy.example:3128"
    settings.GIT_TIMEOUT_SECONDS = 2

    variables = environment(check_repo("https://github.com/opensafely/b"))
    with pytest.raises((git.GitUnavailable, git.GitError)) as caught:
        git.resolve("https://github.com/opensafely/b", "main")

    assert settings.GIT_PROXY in variables.values()
    assert "hunter2" not in str(caught.value)


def test_at_the_deadline_git_and_all_its_children_are_killed(tmp_path):
    pid_file = tmp_path / "pid"
    started = time.monotonic()

    with pytest.raises(GitFailed) as caught:
        run(git_with_alias(f"trap '' TERM; sleep 600 & echo $! > {pid_file}; wait"), Deadline(0.5), most_bytes=100)

    assert caught.value.timed_out
    assert time.monotonic() - started < 10
    # The signal is sent; the kernel may take a moment on a busy machine.
    wait_until(lambda: not is_running(int(pid_file.read_text())))


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_git_that_never_stops_talking_is_ended_by_the_deadline():
    with pytest.raises(GitFailed) as caught:
        run(git_with_alias("yes"), Deadline(0.3), most_bytes=10**12)

    assert caught.value.timed_out


def test_more_output_than_wanted_ends_git():
    with pytest.raises(GitFailed) as caught:
        run(git_with_alias("yes"), Deadline(10), most_bytes=100_000)

    assert caught.value.too_long


def test_endless_complaints_do_not_fill_the_memory():
    with pytest.raises(GitFailed) as caught:
        run(git_with_alias("head -c 5000000 /dev/zero >&2; echo the end >&2; false"), Deadline(10), most_bytes=100)

    assert caught.value.stderr.endswith("the end")
    assert len(caught.value.stderr) < 100_000


def test_a_record_of_absurd_length_is_refused():
    with (
        GitProcess(git_with_alias("head -c 200000 /dev/zero")) as process,
        pytest.raises(GitFailed) as caught,
    ):
        list(process.records(Deadline(10), b"\n"))

    assert caught.value.too_long


def test_a_machine_without_git_is_the_operators_affair(settings, tmp_path):
    sha = make_repository(tmp_path / "study", {"x": "y"})
    settings.GIT_ENVIRONMENT = {"PATH": str(tmp_path)}
    for name in ("sh", "timeout"):
        (tmp_path / name).symlink_to(shutil.which(name))

    with pytest.raises(git.GitUnavailable, match="Is it installed"):
        git.resolve(str(tmp_path / "study"), sha)
    with pytest.raises(git.GitUnavailable, match="tell the site's operator"):
        git.resolve(str(tmp_path / "study"), "main")


@pytest.mark.parametrize(
    ("complaint", "kind"),
    [
        ("fatal: write error: No space left on device", git.GitUnavailable),
        ("fatal: Out of memory, malloc failed", git.GitUnavailable),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", git.GitUnavailable),
        ("fatal: unable to access 'https://x/': server certificate verification failed.", git.GitUnavailable),
        ("fatal: the remote end hung up unexpectedly", git.GitUnavailable),
        ("fatal: unable to access 'https://x/': GnuTLS recv error (-110)", git.GitUnavailable),
        ("fatal: could not read Username for 'https://x': terminal prompts disabled", git.GitError),
        ("remote: Repository not found.\nfatal: repository 'https://x/' not found", git.GitError),
        ("fatal: remote error: upload-pack: not our ref 1111", git.UnknownRevision),
        ("fatal: something that nobody has seen before", git.GitError),
    ],
)
def test_what_git_complains_of_decides_whose_fault_it_is(complaint, kind):
    error = explain(GitFailed(complaint), "https://x/y")

    assert isinstance(error, kind)
    assert "https://x/y" in str(error)


def test_memory_that_a_server_takes_is_not_the_operators_affair():
    complaint = "fatal: Out of memory, realloc failed"
    ours, theirs = GitFailed(complaint), GitFailed(complaint, had_little_memory=True)

    assert isinstance(explain(ours, "https://x/y"), git.GitUnavailable)
    assert "made git use more memory than this site allows" in str(explain(theirs, "https://x/y"))


def test_a_server_that_ran_out_of_memory_itself_is_asked_again_later():
    failed = GitFailed("remote: fatal: Out of memory, malloc failed\nfatal: early EOF", had_little_memory=True)

    assert isinstance(explain(failed, "https://x/y"), git.GitUnavailable)


def test_file_descriptors_are_not_left_open(tmp_path):
    sha = make_repository(tmp_path / "study", {"x": "y"})
    git.resolve(str(tmp_path / "study"), sha)
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(5):
        git.read_file(str(tmp_path / "study"), sha, "x")
        with git.export(str(tmp_path / "study"), sha) as stream:
            stream.read(10)

    assert len(list(Path("/proc/self/fd").iterdir())) == before
