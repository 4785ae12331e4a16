"""Reusable actions from the request to the jobs, with real repositories: those of an organisation in a folder."""

import pytest

from jobs import git
from jobs.models import Job, JobRequest
from jobs.planning import submit
from jobs.reusable_actions import ReusableActionError
from tests.git_repositories import commit, make_repository
from tests.git_repositories import git as run_git

pytestmark = pytest.mark.django_db

PROJECT = """
version: '4.0'
actions:
  extract: {run: python:v2 extract.py, outputs: {highly_sensitive: {rows: output/rows.csv}}}
  count: {run: counter:v1 --by sex, needs: [extract], outputs: {moderately_sensitive: {counts: output/counts.csv}}}
"""
ACTION = "run: python:v2 python analysis/count.py\n"


@pytest.fixture
def action(tmp_path, settings):
    """The repository of the reusable action `counter`, whose v1 is merged."""
    settings.ACTIONS_ORG_URL = str(tmp_path / "actions")
    path = tmp_path / "actions" / "counter"
    make_repository(path, {"action.yaml": ACTION, "analysis/count.py": "1"})
    run_git(path, "tag", "v1")
    return path


@pytest.fixture
def ask(tmp_path, action):
    """Ask for actions of a study with this project.yaml."""
    make_repository(tmp_path / "study", {"README.md": "a study"})

    def ask_for(*names: str, project: str = PROJECT):
        request = JobRequest(
            backend="development",
            workspace="study",
            repo_url=str(tmp_path / "study"),
            branch="main",
            commit=commit(tmp_path / "study", {"project.yaml": project}),
            requested_actions=list(names or ["count"]),
        )
        return submit(request, by="alice")

    return ask_for


def refusal(ask, **options) -> str:
    with pytest.raises(ReusableActionError) as caught:
        ask(**options)
    assert not Job.objects.exists() and not JobRequest.objects.exists()
    return str(caught.value)


def on_a_branch_of_its_own(action, files, branch="work") -> str:
    """A commit that a collaborator pushed and no maintainer merged."""
    run_git(action, "switch", "--quiet", "--create", branch)
    sha = commit(action, files)
    run_git(action, "switch", "--quiet", "main")
    return sha


def test_a_job_gets_the_actions_code_and_command_and_the_study_s_arguments(ask, action):
    ask("run_all")

    count = Job.objects.get(action="count")
    assert (count.code_repo_url, count.code_commit) == (str(action), run_git(action, "rev-parse", "v1"))
    assert (count.image, count.arguments) == ("python:v2", ["python", "analysis/count.py", "--by", "sex"])
    assert count.run_command == "counter:v1 --by sex" and not count.requires_db
    extract = Job.objects.get(action="extract")
    assert (extract.code_repo_url, extract.code_commit) == ("", "")


def test_the_tag_may_lie_far_behind_main_and_have_an_object_of_its_own(ask, action):
    wanted = run_git(action, "rev-parse", "HEAD")
    run_git(action, "tag", "--force", "--annotate", "--message=x", "v1")
    for number in range(3):
        commit(action, {"action.yaml": f"run: python:v2 later{number}.py\n"})

    ask()

    assert Job.objects.get(action="count").code_commit == wanted


def test_a_tag_that_nobody_merged_is_refused(ask, action):
    sha = on_a_branch_of_its_own(action, {"analysis/count.py": "2"})
    run_git(action, "tag", "--force", "v1", sha)

    message = refusal(ask)

    assert message.startswith(f"Action count: counter:v1: tag 'v1' of {action} is not approved for use")


def test_a_tag_is_approved_by_being_merged(ask, action):
    sha = on_a_branch_of_its_own(action, {"analysis/count.py": "2"})
    run_git(action, "tag", "--force", "v1", sha)
    refusal(ask)
    run_git(action, "merge", "--quiet", "--no-ff", "--message=approve", "work")

    ask()

    assert Job.objects.get(action="count").code_commit == sha


def test_a_planned_job_keeps_its_code_when_the_tag_is_moved(ask, action):
    """And what is planned later gets what the tag means then."""
    old = run_git(action, "rev-parse", "v1")
    ask()
    job = Job.objects.get(action="count")
    new = commit(action, {"analysis/count.py": "2"})
    run_git(action, "tag", "--force", "v1")

    with git.export(job.code_repo_url, job.code_commit) as stream:
        assert stream.read()
    assert Job.objects.get(pk=job.pk).code_commit == old
    Job.objects.all().delete()
    ask()
    assert Job.objects.get(action="count").code_commit == new


@pytest.mark.parametrize("is_merged", [True, False])
def test_a_branch_is_no_version(ask, action, is_merged):
    """A branch's code changes under the same name, and nobody but its owner decides about it."""
    run_git(action, "tag", "--delete", "v1")
    run_git(action, "branch", "v1")
    if not is_merged:
        run_git(action, "branch", "--force", "v1", on_a_branch_of_its_own(action, {"x": "y"}))

    assert f"'v1' is not a tag of {action}: {action} has no tag 'v1'." in refusal(ask)


def test_of_a_branch_and_a_tag_of_one_name_the_tag_is_meant(ask, action):
    run_git(action, "branch", "v1", on_a_branch_of_its_own(action, {"x": "y"}))

    ask()

    assert Job.objects.get(action="count").code_commit == run_git(action, "rev-parse", "refs/tags/v1")


@pytest.mark.parametrize("length", [8, 40])
def test_a_commit_s_id_is_no_version(ask, action, length):
    """Older formats of project.yaml let any word be a version."""
    version = run_git(action, "rev-parse", "HEAD")[:length]
    project = PROJECT.replace(":v1", f":{version}").replace("4.0", "1.0")

    assert f"'{version}' is not a tag of {action}" in refusal(ask, project=project)


def test_an_unknown_version_is_answered_with_those_that_there_are(ask, action):
    run_git(action, "branch", "v10")
    message = refusal(ask, project=PROJECT.replace(":v1", ":v11"))
    assert "Did you mean 'v1'? Tags: v1." in message and "v10" not in message


def test_an_action_without_action_yaml_is_none(ask, action):
    run_git(action, "rm", "--quiet", "action.yaml")
    commit(action, {"README.md": "moved away"})
    run_git(action, "tag", "--force", "v1")

    assert f"{action} at v1 is not a reusable action: no action.yaml there." in refusal(ask)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run: ehrql:v1 generate-dataset d.py --output d.csv", "cannot run commands that access the database"),
        ("run: sqlrunner:v1 --output x", "cannot run commands that access the database"),
        ("run: nothing:v1 x", "its image 'nothing' is not an allowed one"),
        ("run: counter:v1 x", "its image 'counter' is not an allowed one"),
        ("runs: python:v2", "has no `run`"),
    ],
)
def test_a_fault_of_the_action_is_reported_to_its_maintainers(ask, action, text, said):
    commit(action, {"action.yaml": text})
    run_git(action, "tag", "--force", "v1")

    message = refusal(ask)

    assert f"please open an issue at {action}/issues" in message and said in message


def test_the_study_cannot_make_an_action_read_the_database(ask, action):
    commit(action, {"action.yaml": "run: ehrql:v1"})
    run_git(action, "tag", "--force", "v1")

    project = PROJECT.replace("counter:v1 --by sex", "counter:v1 generate-dataset d.py")
    assert "cannot run commands that access the database" in refusal(ask, project=project)


def test_an_unknown_action_may_be_a_misspelt_image(ask):
    message = refusal(ask, project=PROJECT.replace("counter:v1", "pyton:v1"))
    assert "'pyton' is neither an allowed image" in message and "Did you mean python?" in message


def test_many_jobs_of_one_version_look_for_it_once(ask, caplog):
    caplog.set_level("INFO")
    more = "".join(
        f"  count{n}: {{run: counter:v1 {n}, outputs: {{moderately_sensitive: {{c: {n}.csv}}}}}}\n" for n in range(5)
    )
    ask("run_all", project=PROJECT + more)

    assert Job.objects.exclude(code_commit="").count() == 6
    assert len([line for line in caplog.messages if line.startswith("Looking for the reusable action")]) == 1
