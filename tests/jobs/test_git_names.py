"""What git may be given at all; no repository is needed to refuse a name."""

import pytest

from jobs import git
from jobs.git.names import check_branch, check_commit, check_path, check_repo, check_revision
from tests.git_repositories import make_repository

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def many_hosts(settings):
    """What is refused here is refused at every site, whatever its settings allow."""
    settings.ALLOWED_GITHUB_ORGS = ("*",)
    settings.ALLOWED_GIT_HOSTS = (
        "github.com",
        "a.org",
        "b.org",
        "git.example.org:8443",
        "dev.example.org",
        "10.1.2.3",
        "127.0.0.1:8000",
        "[2001:db8::1]",
        "169.254.169.254",
        "2852039166",
        "0xA9FEA9FE",
    )


HOSTILE_REPOS = [
    "",
    "-",
    "--upload-pack=touch {canary}",
    "-u/x",
    "ext::sh -c touch% {canary}",
    "ext::sh://x/y",
    "fd::17",
    "file:///etc",
    "ssh://-oProxyCommand=touch {canary}/x",
    "ssh://git@github.com/org/repo",
    "git://github.com/org/repo",
    "git@github.com:org/repo",
    "ftp://example.org/repo",
    "github.com/org/repo",
    "study",
    "./study",
    "../study",
    "~/study",
    "https://",
    "https:///org/repo",
    "https://user:password@github.com/org/repo",
    "https://token@github.com/org/repo",
    "https://@github.com/org/repo",
    "https://github.com@evil.example/org/repo",
    "https://github.com\\@evil.example/org/repo",
    "https://github.com./org/repo",
    "https://g\u0131thub.com/org/repo",
    "https://-oProxyCommand=x/org/repo",
    "https://169.254.169.254/latest/meta-data",
    "https://[fe80::1]/repo",
    "https://2852039166/latest",
    "https://0xA9FEA9FE/latest",
    "https://169.254.43518/latest",
    "https://git_hub..com/org/repo",
    "https://github.com:99999/org/repo",
    "https://github.com:x/org/repo",
    "https://github.com/org/../../etc",
    "https://github.com/org/%2e%2e/x",
    "https://github.com/org/%0a",
    "https://github.com/org/%252e%252e/repo",
    "https://github.com/org/re%25po",
    "https://github.com//repo",
    "https://github.com/",
    "https://github.com/org/--upload-pack=x",
    "https://github.com/org/repo?x=1",
    "https://github.com/org/repo#x",
    "https://github.com/org/re po",
    "https://github.com/org/repo\n",
    "https://github.com/org/repo\x00",
    "https://github.com/org/repo;touch {canary}",
    "https://github.com/org/$(touch {canary})",
    "https://github.com/" + "a" * 600,
    "/study\nx",
    "/study\x00x",
    "http://github.com/org/repo",
]

HOSTILE_REVISIONS = [
    "",
    "-",
    "--upload-pack=touch {canary}",
    "--output={canary}",
    "-p",
    "main..other",
    "main@{1}",
    "@{u}",
    "@",
    "main:project.yaml",
    ":/fix",
    "main^",
    "main~1",
    "^main",
    "main*",
    "main?",
    "[main]",
    "a b",
    "a\\b",
    "a//b",
    "/main",
    "main/",
    "main.",
    "main.lock",
    "a.lock/b",
    ".main",
    "a/.b",
    "refs/pull/1/head",
    "refs/remotes/origin/main",
    "refs/jobrunner/commits/" + SHA,
    "refs/heads/",
    "main\n",
    "main\x00",
    "main\x1b[2J",
    "a" * 300,
]

HOSTILE_PATHS = [
    "",
    "-",
    "--output={canary}",
    "/etc/passwd",
    "../secret",
    "a/../b",
    "a//b",
    "a/",
    "./a",
    "a\nb",
    "a\x00b",
    "a" * 5000,
]


@pytest.mark.parametrize("repo", HOSTILE_REPOS)
def test_what_is_not_plainly_a_repository_is_refused_before_git_runs(repo, tmp_path, settings):
    canary = tmp_path / "canary"
    repo = repo.replace("{canary}", str(canary))

    for call in (
        lambda: git.resolve(repo, "main"),
        lambda: git.read_file(repo, SHA, "project.yaml"),
        lambda: git.is_on_branch(repo, SHA, "main"),
        lambda: git.export(repo, SHA).__enter__(),
    ):
        with pytest.raises(git.GitError):
            call()

    assert not canary.exists()
    assert not settings.GIT_REPO_DIR.exists()


@pytest.mark.parametrize("revision", HOSTILE_REVISIONS)
def test_what_is_not_plainly_a_revision_is_refused_before_git_runs(revision, tmp_path, settings):
    canary = tmp_path / "canary"
    revision = revision.replace("{canary}", str(canary))

    for call in (
        lambda: git.resolve(str(tmp_path), revision),
        lambda: git.is_on_branch(str(tmp_path), SHA, revision),
        lambda: git.read_file(str(tmp_path), revision, "project.yaml"),
        lambda: git.export(str(tmp_path), revision).__enter__(),
    ):
        with pytest.raises(git.GitError):
            call()

    assert not canary.exists()
    assert not settings.GIT_REPO_DIR.exists()


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_what_is_not_plainly_a_file_of_the_repository_is_refused_before_git_runs(path, tmp_path, settings):
    with pytest.raises(git.GitError):
        git.read_file(str(tmp_path), SHA, path.replace("{canary}", str(tmp_path / "canary")))

    assert not (tmp_path / "canary").exists()
    assert not settings.GIT_REPO_DIR.exists()


@pytest.mark.parametrize(
    ("repo", "address"),
    [
        ("https://github.com/opensafely/study", "https://github.com/opensafely/study"),
        ("https://github.com/opensafely/study/", "https://github.com/opensafely/study"),
        ("https://GitHub.com/opensafely/study.git", "https://github.com/opensafely/study.git"),
        ("https://git.example.org:8443/a/b/c", "https://git.example.org:8443/a/b/c"),
        ("https://dev.example.org/My%20Project/_git/x", "https://dev.example.org/My%20Project/_git/x"),
        ("https://10.1.2.3/org/repo", "https://10.1.2.3/org/repo"),
        ("/home/alice/study", "file:///home/alice/study"),
        ("/home/alice/../bob/my study%20", "file:///home/bob/my%20study%2520"),
    ],
)
def test_plain_addresses_and_full_paths_are_accepted(repo, address):
    assert check_repo(repo).address == address


def test_two_addresses_never_share_a_copy():
    repos = ["https://a.org/x/y", "https://b.org/x/y", "https://a.org/x-y", "https://a.org/x/Y", "/x/y"]

    assert len({check_repo(repo).folder_name for repo in repos}) == len(repos)


def test_a_copys_folder_has_the_repositorys_name_in_it():
    assert check_repo("https://github.com/opensafely/study").folder_name.startswith("opensafely-study-")


def test_local_folders_need_the_sites_permission(settings, tmp_path):
    settings.ALLOW_LOCAL_REPOS = False

    with pytest.raises(git.GitError, match="ALLOW_LOCAL_REPOS"):
        check_repo(str(tmp_path))


def test_plain_http_needs_the_sites_permission(settings):
    settings.GIT_ALLOW_HTTP = True

    assert check_repo("http://127.0.0.1:8000/study").protocol == "http"


@pytest.mark.parametrize(
    "revision",
    [
        "HEAD",
        "main",
        "feature/new-thing",
        "v1.0",
        "refs/heads/main",
        "refs/tags/v1",
        "größe",
        SHA,
        SHA[:7],
        "a@b",
        "x#1",
    ],
)
def test_names_of_branches_tags_and_commits_are_accepted(revision):
    assert check_revision(revision) == revision


@pytest.mark.parametrize("branch", ["HEAD", "refs/heads/main", "refs/pull/1/head"])
def test_a_branch_is_given_by_its_short_name(branch):
    with pytest.raises(git.GitError):
        check_branch(branch)


@pytest.mark.parametrize("commit", [SHA[:39], SHA + "0", SHA.upper(), "main", SHA[:39] + "g", SHA + "\n", None])
def test_a_commit_is_given_by_its_full_id(commit):
    with pytest.raises(git.GitError):
        check_commit(commit)


@pytest.mark.parametrize(
    "path", ["project.yaml", "a/b/c.py", "with space", "ünï", "*.py", ":(top)x", "...", "a/.gitignore"]
)
def test_paths_of_files_are_accepted(path):
    assert check_path(path) == path


@pytest.mark.parametrize(
    "repo",
    [
        "https://alice:hunter2@github.com/o/r",
        "https://hunter2@github.com/o/r",
        "https://alice:SEC/hunter2@github.com/o/r",
        "https://alice:SEC@hunter2@github.com/o/r",
        "https://alice:SEC hunter2@github.com/o/r",
        "https:/alice:hunter2@github.com/o/r",
        "x-access-token:hunter2@github.com/o/r",
        "https://github.com/o/r?access_token=hunter2",
    ],
)
def test_a_password_in_an_address_is_not_repeated_in_the_message(repo):
    with pytest.raises(git.GitError) as caught:
        check_repo(repo)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("revision", "sentence"),
    [
        ("main@{1}", "'main@{1}' is not the name of a branch or tag: '@{' may not stand in it."),
        ("main\n", "Revision 'main\\n' has a control character in it."),
        ("a?b=c", "'a?b=c' is not the name of a branch or tag: '?' may not stand in it."),
        ("https://alice:hunter2@x", "'https://***@x' is not the name of a branch or tag: ':' may not stand in it."),
    ],
)
def test_a_revision_is_shown_as_it_was_written(revision, sentence):
    with pytest.raises(git.GitError) as caught:
        check_revision(revision)
    assert str(caught.value) == sentence


def test_an_address_is_escaped_once():
    with pytest.raises(git.GitError, match=r"^Repository 'https://x/a\\n' has a control character"):
        check_repo("https://x/a\n")


def test_names_with_an_at_sign_are_shown_in_full(tmp_path):
    make_repository(tmp_path / "study", {"x": "y"}, branch="version@2")
    with pytest.raises(git.UnknownRevision) as caught:
        git.resolve(str(tmp_path / "study"), "version@3")
    assert f"{tmp_path}/study has no branch, tag or commit 'version@3'. Did you mean 'version@2'?" in str(caught.value)


def test_an_ipv6_address_is_a_host_like_any_other():
    assert check_repo("https://[2001:db8::1]/org/repo").host == "[2001:db8::1]"
    with pytest.raises(git.GitError, match="neither an https:// address nor a local folder"):
        check_repo("ext::sh://x/y")
