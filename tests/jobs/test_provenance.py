"""Whose code may run: a commit must be on the branch that the request names, in the repository itself."""

import pytest

from jobs import git, planning
from jobs.errors import JobError
from jobs.models import Job, JobRequest
from jobs.provenance import ProvenanceError, check_names, check_provenance
from tests.git_repositories import commit, make_repository
from tests.git_repositories import git as run_git

PROJECT = "version: '4.0'\nactions: {a: {run: python:v2 a.py, outputs: {highly_sensitive: {o: o.csv}}}}\n"


@pytest.fixture
def study(tmp_path):
    """Two commits on main, the first of them also the tag v1."""
    path = tmp_path / "served" / "study"
    make_repository(path, {"project.yaml": PROJECT})
    run_git(path, "tag", "v1")
    commit(path, {"a.py": "1"})
    return path


@pytest.fixture
def server(serve, study):
    with serve(study.parent) as running:
        yield running


@pytest.fixture
def ask(server, study):
    """A request for a commit of the study on the server, by default the last one of main."""

    def make(commit: str = "", branch: str = "main", **columns) -> JobRequest:
        defaults = {
            "backend": "development",
            "workspace": "study",
            "repo_url": f"{server.url}/study",
            "requested_actions": ["a"],
        }
        commit = run_git(study, "rev-parse", commit or "main")
        return JobRequest(branch=branch, commit=commit, **defaults | columns)

    return make


def of_a_fork(study) -> str:
    """A commit that the server gives to those who ask for its id, although nobody put it on a branch of the study."""
    run_git(study, "switch", "--quiet", "--detach")
    sha = commit(study, {"project.yaml": PROJECT.replace("a.py", "evil.py")})
    run_git(study, "update-ref", "refs/pull/7/head", sha)
    run_git(study, "update-ref", "refs/remotes/mallory/main", sha)
    run_git(study, "switch", "--quiet", "main")
    return sha


def refusal(request: JobRequest, kind: type[JobError] = ProvenanceError) -> str:
    with pytest.raises(kind) as caught:
        check_provenance(request)
    return str(caught.value)


def test_the_tip_of_the_branch_is_approved_by_one_look_at_the_refs(ask, server):
    check_provenance(ask())

    assert len(server.requests) == 2  # what git needs for one ls-remote
    assert all("/info/refs" in path or "/git-upload-pack" in path for path in server.requests)


def test_an_older_commit_of_the_branch_is_approved(ask):
    check_provenance(ask("v1"))


@pytest.mark.parametrize("how", ["fork", "other branch", "tag only", "never pushed"])
def test_a_commit_that_is_not_on_the_branch_is_refused(ask, study, how):
    sha = of_a_fork(study)
    if how == "other branch":
        run_git(study, "branch", "other", sha)
    if how == "tag only":
        run_git(study, "tag", "v2", sha)
    request = ask(sha)
    if how == "never pushed":
        request.commit = "1" * 40

    message = refusal(request)

    assert message.startswith(f"Commit {request.commit} is not on branch 'main' of {request.repo_url}: it was never")
    assert "Push it there, or ask for a commit that is on the branch." in message


def test_that_the_server_gives_a_commit_proves_nothing(ask, study):
    """The reason for all of this: git itself takes a fork's commit for one of the repository's."""
    sha = of_a_fork(study)

    assert b"evil.py" in git.read_file(ask().repo_url, sha, "project.yaml")
    refusal(ask(sha))


@pytest.mark.parametrize(
    ("branch", "said"),
    [
        ("", "names no branch of http"),
        ("feature/x", "Branch 'feature/x' has a slash in its name, and such branches are not run here. Rename the bra"),
        ("pull/7/head", "has a slash in its name"),
        ("mallory/main", "has a slash in its name"),
        ("remotes/mallory/main", "has a slash in its name"),
        ("refs/heads/main", "has a slash in its name"),
        ("/main", "has a slash in its name"),
        ("main/", "has a slash in its name"),
        ("HEAD", "'HEAD' is no name for a branch"),
        ("head", "'head' is no name for a branch"),
        ("FETCH_HEAD", "'FETCH_HEAD' is no name for a branch"),
        ("0" * 40, "is no name for a branch"),
        ("a/\x1b[2J", "Branch 'a/\\x1b[2J' has a slash"),
    ],
)
def test_a_name_that_is_no_plain_branch_is_refused_before_anybody_is_asked(ask, server, study, branch, said):
    of_a_fork(study)
    run_git(study, "branch", "feature/x")

    with pytest.raises(ProvenanceError) as caught:
        check_names(ask(branch=branch))

    assert said in str(caught.value) and str(caught.value).isprintable()
    assert refusal(ask(branch=branch)) == str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize("branch", ["main:x", "main~1", "@{u}", "main..x", "--upload-pack=touch x", "main\n", " main"])
def test_a_name_that_git_would_read_as_something_else_is_refused(ask, server, branch):
    refusal(ask(branch=branch), git.GitError)
    assert server.requests == []


@pytest.mark.parametrize(
    ("branch", "said"), [("mian", "mean 'main'"), ("Main", "mean 'main'"), ("v1", "Branches: main")]
)
def test_an_unknown_branch_is_answered_with_those_that_there_are(ask, branch, said):
    message = refusal(ask(branch=branch), git.UnknownRevision)
    assert f"has no branch '{branch}'." in message and said in message and "Tags:" not in message


def test_a_tag_does_not_stand_for_a_branch_of_its_name(ask, study):
    run_git(study, "branch", "v2", "v1")
    run_git(study, "tag", "v2", "main")

    assert "is not on branch 'v2'" in refusal(ask("main", branch="v2"))
    check_provenance(ask("v1", branch="v2"))


def test_after_a_force_push_the_branch_is_what_it_is_now(ask, study):
    request = ask()
    check_provenance(request)
    run_git(study, "reset", "--quiet", "--hard", "HEAD~1")

    assert "a force-push has removed it" in refusal(request)


def test_a_branch_that_was_deleted_approves_nothing(ask, study):
    run_git(study, "branch", "topic")
    request = ask(branch="topic")
    check_provenance(request)
    run_git(study, "branch", "--delete", "topic")

    assert "has no branch 'topic'" in refusal(request, git.UnknownRevision)


@pytest.mark.parametrize("how", ["deleted", "force-pushed"])
def test_a_branch_that_changes_while_it_is_looked_at_approves_nothing_that_is_gone(ask, study, server, how):
    """Its refs were listed and its history is about to be fetched."""
    run_git(study, "branch", "topic")
    last = run_git(study, "rev-parse", "main")
    commit(study, {"x": "y"})
    run_git(study, "branch", "--force", "topic", "main")
    request = ask(last, branch="topic")

    def change() -> None:
        if len(server.requests) == 3:
            action = ["--delete", "--force", "topic"] if how == "deleted" else ["--force", "topic", "v1"]
            run_git(study, "branch", *action)

    server.on_request = change
    refusal(request, git.UnknownRevision if how == "deleted" else ProvenanceError)


def test_a_repository_without_commits_is_answered_with_what_to_do(ask, server, tmp_path):
    (tmp_path / "served" / "empty").mkdir()
    run_git(tmp_path / "served" / "empty", "init", "--quiet", "--bare")

    assert "has no commits yet" in refusal(ask(repo_url=f"{server.url}/empty"), git.UnknownRevision)


@pytest.mark.parametrize("sha", ["", "main", "abc", "A" * 40, "0" * 41])
def test_only_a_full_id_is_a_commit(ask, sha):
    request = ask()
    request.commit = sha
    assert "is not a full commit id" in refusal(request, git.GitError)


@pytest.mark.slow_test
def test_a_host_that_is_down_is_nobodys_fault(ask, server):
    server.faults.extend(["500"] * 10)
    with pytest.raises(git.GitUnavailable):
        check_provenance(ask())


def test_a_local_folder_needs_no_branch_but_a_branch_that_is_named_must_be_true(ask, study):
    side = of_a_fork(study)
    check_provenance(ask(side, branch="", repo_url=str(study)))
    check_provenance(ask("v1", branch="main", repo_url=str(study)))
    assert "is not on branch 'main'" in refusal(ask(side, repo_url=str(study)))
    run_git(study, "branch", "topic/one", side)
    check_provenance(ask(side, branch="topic/one", repo_url=str(study)))


def test_a_local_folder_needs_the_sites_permission(ask, study, settings):
    settings.ALLOW_LOCAL_REPOS = False
    assert "ALLOW_LOCAL_REPOS" in refusal(ask(repo_url=str(study)), git.GitError)


def test_a_study_does_not_come_from_where_reusable_actions_come_from(ask, server, settings):
    settings.ALLOWED_GITHUB_ORGS = ("opensafely",)
    settings.ACTIONS_ORG_URL = server.url
    assert "whose code this site does not run" in refusal(ask(), git.GitError)
    assert server.requests == []


@pytest.mark.django_db
def test_the_code_of_nobody_knows_who_is_not_even_read(ask, study, settings):
    with pytest.raises(ProvenanceError):
        planning.submit(ask(of_a_fork(study)), by="alice")

    assert not Job.objects.exists() and not JobRequest.objects.exists()
    assert list(settings.GIT_REPO_DIR.glob("*.commits")) == []


@pytest.mark.django_db
def test_the_jobs_of_an_approved_commit_are_stored(ask, study):
    request = planning.submit(ask("v1"), by="alice").request
    assert (request.branch, request.commit) == ("main", run_git(study, "rev-parse", "v1"))


@pytest.mark.django_db
def test_a_request_that_was_planned_is_not_checked_again(ask, study, server):
    request = ask(identifier="same")
    planning.submit(request, by="alice")
    asked = len(server.requests)
    run_git(study, "reset", "--quiet", "--hard", "HEAD~1")

    again = planning.submit(
        JobRequest(
            **{name: getattr(request, name) for name in ("backend", "workspace", "repo_url", "branch", "commit")},
            identifier="same",
            requested_actions=["a"],
        ),
        by="alice",
    )

    assert again.jobs == [] and again.request == request
    assert len(server.requests) == asked


@pytest.mark.django_db
def test_another_commit_under_the_identifier_of_a_planned_request_is_checked(ask, study):
    planning.submit(ask(identifier="same"), by="alice")
    with pytest.raises(ProvenanceError):
        planning.read_project(ask(of_a_fork(study), identifier="same"))
