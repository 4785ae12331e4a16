"""`manage.py add_job` for a repository on a server: which commit and branch it asks for, and what it refuses."""

import pytest
from django.core.management import CommandError, call_command

from jobs.models import Job, JobRequest
from tests.git_repositories import commit, make_repository
from tests.git_repositories import git as run_git

pytestmark = pytest.mark.django_db

PROJECT = "version: '4.0'\nactions: {a: {run: python:v2 a.py, outputs: {highly_sensitive: {o: o.csv}}}}\n"


@pytest.fixture
def study(tmp_path):
    """main: first (v1), last. side: first, then one more (v2)."""
    path = tmp_path / "served" / "study"
    make_repository(path, {"project.yaml": PROJECT})
    run_git(path, "tag", "--annotate", "--message=x", "v1")
    run_git(path, "switch", "--quiet", "--create", "side")
    commit(path, {"side.py": "1"})
    run_git(path, "tag", "v2")
    run_git(path, "switch", "--quiet", "main")
    commit(path, {"a.py": "1"})
    return path


@pytest.fixture(params=["http", "old http"])
def server(request, serve, study):
    with serve(study.parent, newest_protocol=request.param == "http") as running:
        yield running


def add(server, **options) -> tuple[str, str]:
    """Branch and commit of the request that came of it."""
    call_command("add_job", f"{server.url}/study", "a", **options)
    return JobRequest.objects.values_list("branch", "commit").get()


def refusal(server, **options) -> str:
    with pytest.raises(CommandError) as error:
        call_command("add_job", f"{server.url}/study", "a", **options)
    assert not Job.objects.exists() and not JobRequest.objects.exists()
    return str(error.value)


@pytest.mark.parametrize(
    ("options", "branch", "revision"),
    [
        ({}, "main", "main"),
        ({"commit": "HEAD"}, "main", "main"),
        ({"branch": "side"}, "side", "side"),
        ({"branch": "refs/heads/side"}, "side", "side"),
        ({"commit": "side"}, "side", "side"),
        ({"commit": "refs/heads/side"}, "side", "side"),
        ({"commit": "v1"}, "main", "v1"),
        ({"commit": "refs/tags/v1"}, "main", "v1"),
        ({"commit": "v1", "branch": "side"}, "side", "v1"),
        ({"commit": "v2", "branch": "side"}, "side", "v2"),
        ({"commit": "FIRST", "branch": "main"}, "main", "v1"),
        ({"commit": "FIRST", "branch": "side"}, "side", "v1"),
    ],
)
def test_a_request_names_a_commit_and_the_branch_that_it_is_on(server, study, options, branch, revision):
    if options.get("commit") == "FIRST":
        options = {**options, "commit": run_git(study, "rev-parse", "v1^{commit}").upper()}
    assert add(server, **options) == (branch, run_git(study, "rev-parse", f"{revision}^{{commit}}"))


def test_a_tag_that_is_not_on_the_default_branch_needs_its_branch(server):
    assert "is not on branch 'main'" in refusal(server, commit="v2")


def test_a_commit_s_id_needs_its_branch_before_anybody_is_asked(server, study):
    message = refusal(server, commit=run_git(study, "rev-parse", "main"))
    assert "names no branch" in message and "(add_job: --branch)" in message
    assert server.requests == []


def test_the_start_of_the_id_of_a_branchs_tip_needs_the_branch_too(server, study):
    start = run_git(study, "rev-parse", "main")[:10]
    assert "names no branch" in refusal(server, commit=start)
    assert add(server, commit=start, branch="main")[0] == "main"


def test_a_repository_whose_head_stands_for_no_branch_needs_one(server, study):
    run_git(study, "switch", "--quiet", "--detach")
    assert "names no branch" in refusal(server)
    assert add(server, branch="main")[0] == "main"


@pytest.mark.parametrize("options", [{}, {"branch": "feature/x"}, {"commit": "feature/x"}])
def test_a_branch_with_a_slash_is_refused_however_it_is_named(server, study, options):
    run_git(study, "branch", "--move", "main", "feature/x")
    assert "Branch 'feature/x' has a slash in its name" in refusal(server, **options)


def test_a_repository_of_another_organisation_is_refused_with_the_setting_to_change(server, settings):
    settings.ALLOWED_GITHUB_ORGS = ("opensafely",)
    message = refusal(server)
    assert "studies must be in opensafely" in message and "(ALLOWED_GITHUB_ORGS)" in message
    assert server.requests == []


def test_the_tip_of_a_branch_costs_two_looks_at_the_refs_and_one_fetch(study, serve):
    with serve(study.parent) as server:
        add(server)
        looks = [path for path in server.requests if "/info/refs" in path]
        assert len(looks) == 3


def test_the_help_says_what_a_commit_elsewhere_needs(capsys):
    with pytest.raises(SystemExit):
        call_command("add_job", "--help")
    assert "must be on a branch of it" in " ".join(capsys.readouterr().out.split())
