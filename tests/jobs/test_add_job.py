"""`manage.py add_job`, with real git repositories: what it adds, what it shows, and a clear word for every mistake."""

import contextlib
import sqlite3
import subprocess

import pytest
from django.core.management import CommandError, call_command
from django.db.migrations.executor import MigrationExecutor

from jobs.models import Job, JobRequest
from jobs.states import StatusCode
from tests.git_repositories import commit, git, make_repository
from tests.site import Site, wait_until

pytestmark = pytest.mark.django_db

PROJECT = """
version: '4.0'
actions:
  extract:
    run: python:v2 python extract.py
    outputs: {highly_sensitive: {rows: output/rows.csv}}
  report:
    run: r:v2 report.r
    needs: [extract]
    outputs: {moderately_sensitive: {text: output/report.txt}}
"""


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def study(tmp_path):
    make_repository(tmp_path / "my study.git", {"project.yaml": PROJECT})
    return tmp_path / "my study.git"


def add(*arguments: object, **options) -> None:
    call_command("add_job", *map(str, arguments), **options)


def refusal(*arguments: object, **options) -> str:
    with pytest.raises(CommandError) as error:
        add(*arguments, **options)
    assert not Job.objects.exists() and not JobRequest.objects.exists()
    return str(error.value)


def test_jobs_are_added_for_the_action_and_what_it_needs(study, capsys):
    add(study, "report")

    assert list(Job.objects.order_by("pk").values_list("action", flat=True)) == ["extract", "report"]
    request = JobRequest.objects.get()
    assert (request.source, request.repo_url, request.workspace) == ("local", str(study), "my-study")
    assert request.commit == git(study, "rev-parse", "HEAD")
    assert request.created_by
    printed = capsys.readouterr().out
    assert all(f"{job.identifier}  {job.action}" in printed for job in Job.objects.all())
    assert "2 job(s) added to workspace my-study." in printed


def test_a_relative_path_means_the_folder_from_which_the_command_is_called(study, monkeypatch):
    (study.parent / "elsewhere").mkdir()
    monkeypatch.chdir(study.parent / "elsewhere")
    add("../my study.git", "extract")
    assert JobRequest.objects.get().repo_url == str(study)


def test_a_planned_job_keeps_its_commit_when_the_repository_moves_on(study):
    planned = git(study, "rev-parse", "HEAD")
    add(study, "extract")
    commit(study, {"project.yaml": "version: 'broken'"})
    assert JobRequest.objects.get().commit == planned


@pytest.mark.parametrize("how", ["commit", "branch", "tag", "short"])
def test_commit_branch_and_tag_choose_what_is_run(study, how):
    wanted = git(study, "rev-parse", "HEAD")
    git(study, "branch", "older")
    git(study, "tag", "v1")
    commit(study, {"project.yaml": PROJECT.replace("extract", "extract_anew")})
    options = {
        "commit": {"commit": wanted},
        "branch": {"branch": "older"},
        "tag": {"commit": "v1"},
        "short": {"commit": wanted[:10]},
    }
    add(study, "extract", **options[how])
    assert JobRequest.objects.get().commit == wanted


def test_options_reach_the_request(study):
    add(study, "extract", workspace="test_1", database="dummy", force_run_dependencies=True)
    request = JobRequest.objects.get()
    assert (request.workspace, request.database_name, request.force_run_dependencies) == ("test_1", "dummy", True)


def test_a_dry_run_shows_what_would_happen_and_why_and_stores_nothing(study, capsys):
    add(study, "run_all", dry_run=True)
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "▶" in line]
    why = "has not run in this workspace yet"
    assert rows == [
        ["extract", "▶ run", why, "-", "python:v2 python extract.py"],
        ["report", "▶ run", why, "extract", "r:v2 report.r"],
    ]
    assert "2 job(s) would be added." in printed
    assert not Job.objects.exists() and not JobRequest.objects.exists()


def test_a_dry_run_shows_what_is_joined_and_what_is_run_again(study, capsys):
    add(study, "extract")
    Job.objects.get().move_to(StatusCode.CANCELLED_BY_USER, "Cancelled by alice")
    add(study, "extract")
    active = Job.objects.latest("pk")
    capsys.readouterr()

    add(study, "report", dry_run=True)

    printed = capsys.readouterr().out
    assert "already scheduled" in printed and f"job {active.identifier} is already pending" in printed
    assert "asked for by name" in printed
    assert "1 job(s) would be added." in printed


def test_nothing_to_do_is_an_answer_and_no_error(study, capsys):
    add(study, "run_all")
    add(study, "run_all")
    assert "Nothing to do: extract and report are already scheduled." in capsys.readouterr().out
    assert JobRequest.objects.count() == 1


def test_warnings_about_the_project_are_shown_beside_the_result(study, capsys):
    add(study, "extract")
    assert "warning: project.yaml" in capsys.readouterr().err


def test_a_folder_that_is_no_repository_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    message = refusal(tmp_path / "empty", "extract")
    assert str(tmp_path / "empty") in message and "git repository" in message


@pytest.mark.parametrize("repo", ["no/such/folder", "~nobody-of-this-name/study", "https://" + "x" * 5000, ""])
def test_what_is_neither_a_folder_nor_an_address_is_refused(repo):
    assert len(refusal(repo, "extract")) < 1000


@pytest.mark.parametrize("repo", ["ext::sh -c 'touch hacked'", "--upload-pack=touch hacked", "-x"])
def test_a_repository_that_would_be_an_option_or_a_command_is_refused(repo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError):
        call_command("add_job", "--", repo, "extract")
    assert not (tmp_path / "hacked").exists()
    assert not Job.objects.exists()


@pytest.mark.parametrize("revision", ["f" * 40, "no-such-branch", "v9", "--output=x", "HEAD~99"])
def test_an_unknown_commit_is_named(study, revision):
    assert revision.removeprefix("--") in refusal(study, "extract", commit=revision)


def test_an_unknown_branch_is_named(study):
    assert "mian" in refusal(study, "extract", branch="mian")


def test_an_unknown_action_is_named_with_those_that_exist(study):
    message = refusal(study, "extrakt")
    assert "extrakt" in message and "extract" in message


@pytest.mark.parametrize("action", ["../extract", "a/b", "extract\x1b[2J", "run all", ""])
def test_an_action_with_a_strange_name_is_refused_and_its_name_is_no_terminal_code(study, action):
    assert "\x1b" not in refusal(study, action)


def test_a_study_without_a_project_file_is_told_where_it_belongs(tmp_path):
    make_repository(tmp_path / "study", {"README.md": "hello"})
    message = refusal(tmp_path / "study", "extract")
    assert "no project.yaml at commit" in message and "at the top of the repository" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: '4.0'\nactions: [", "project.yaml"),
        ("", "project.yaml"),
        ("version: '4.0'\nversion: '4.0'\n", "line 2"),
        ("version: '4.0'\nactions:\n  a:\n    run: python:v2 a\n", "outputs"),
        ("\x00", "project.yaml"),
    ],
)
def test_a_project_file_with_a_mistake_is_explained(tmp_path, text, words):
    make_repository(tmp_path / "study", {"project.yaml": text})
    assert words in refusal(tmp_path / "study", "a")


@pytest.mark.parametrize("workspace", ["a b", "../up", "a/b", "a.b", "x\n", "\x1b[2J", "w" * 200])
def test_a_workspace_that_could_not_be_a_folder_is_refused(study, workspace):
    message = refusal(study, "extract", workspace=workspace)
    assert "not a valid name" in message and "\x1b" not in message


def test_a_database_that_nobody_knows_is_refused(study):
    with pytest.raises(CommandError, match="--database"):
        call_command("add_job", str(study), "extract", "--database", "patients")


def test_an_image_that_is_not_allowed_is_named(study, settings):
    settings.ALLOWED_IMAGES = ("python",)
    settings.ACTIONS_ORG_URL = "/nowhere/actions"
    message = refusal(study, "report")
    assert "report" in message and "r:v2" in message


def test_the_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        call_command("add_job", "--help")
    assert "manage.py add_job demo/repo run_all --wait" in capsys.readouterr().out


@pytest.mark.slow_test
def test_waiting_sees_the_jobs_through_with_a_runner_of_its_own(study, tmp_path):
    with Site(tmp_path, EXECUTOR="fake") as site:
        printed = site.manage("add_job", str(study), "report", "--wait")
        assert site.statuses() == {"extract": "succeeded", "report": "succeeded"}
        assert "succeeded" in printed and "output/report.txt" in printed
        assert (site.high / "workspaces" / "my-study" / "output" / "rows.csv").is_file()
        # Its runner has ended with it.
        site.manage("run", "--until-idle")


@pytest.mark.slow_test
def test_waiting_leaves_the_work_to_a_runner_that_is_there_already(study, tmp_path):
    with Site(tmp_path, EXECUTOR="fake") as site:
        runner = start_runner(site)
        assert "succeeded" in site.manage("add_job", str(study), "extract", "--wait")
        assert runner.poll() is None


@pytest.mark.slow_test
def test_waiting_tells_by_its_exit_code_that_a_job_did_not_succeed(study, tmp_path):
    with Site(tmp_path, EXECUTOR="fake") as site:
        start_runner(site)
        change(
            site,
            "INSERT INTO jobs_flag (name, value, set_by, reason, set_at) "
            "VALUES ('paused', 'on', 'olive', 'x', '2026-01-01')",
        )
        waiting = site.start("add_job", str(study), "extract", "--wait")
        wait_until(lambda: site.statuses() == {"extract": "paused"}, what="the pause")
        change(
            site,
            "UPDATE jobs_job SET stop_request = 'cancel', stop_requested_by = 'bob', stop_requested_at = '2026-01-01'",
        )
        printed, _ = waiting.communicate(timeout=30)
        assert waiting.returncode == 1
        assert "cancelled_by_user" in printed and "Cancelled by bob" in printed


def start_runner(site: Site) -> subprocess.Popen:
    runner = site.start("run")
    lock = site.work_dir / "run.lock"
    wait_until(lambda: lock.exists() and f"pid {runner.pid} " in lock.read_text(), what="the runner's start")
    return runner


def change(site: Site, sql: str) -> None:
    """As the web would, in another process."""
    with contextlib.closing(sqlite3.connect(site.work_dir / "db.sqlite3", timeout=20)) as database, database:
        database.execute(sql)


def test_a_database_without_the_tables_of_this_version_is_refused_with_what_to_do(study, monkeypatch):
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda self, targets: [("0002_later", False)])

    assert "run `manage.py migrate`" in refusal(study, "report")
