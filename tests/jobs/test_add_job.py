"""`manage.py add_job`, with real git repositories: what it adds, what it shows, and a clear word for every mistake."""

import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db.migrations.executor import MigrationExecutor
from rich.console import Console

from jobs import local
from jobs.management.commands.add_job import EXAMPLES
from jobs.models import Heartbeat, Job, JobRequest
from jobs.states import StatusCode
from tests.factories import make_job, make_request
from tests.git_repositories import commit, git, make_repository
from tests.site import DEMO_STUDY, Site, wait_until

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


def test_that_no_runner_is_at_work_is_said(study, capsys):
    add(study, "extract")
    assert "no runner is at work: start `manage.py run`" in capsys.readouterr().err

    Heartbeat.beat("run")
    add(study, "report")
    assert "no runner" not in capsys.readouterr().err


def test_swapped_arguments_are_recognised(study, monkeypatch):
    monkeypatch.chdir(study.parent)
    assert "The repository comes first, then the actions" in refusal("report", study.name)


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


def test_an_unknown_branch_is_named_with_the_one_that_was_meant(study):
    assert "has no branch 'mian'. Did you mean 'main'?" in refusal(study, "extract", branch="mian")


def test_a_branch_is_meant_also_where_a_tag_has_its_name(study):
    wanted = git(study, "rev-parse", "HEAD")
    git(study, "branch", "v1")
    commit(study, {"README.md": "more"})
    git(study, "tag", "v1")
    add(study, "extract", branch="v1")
    assert JobRequest.objects.get().commit == wanted


def test_a_commit_beside_a_branch_must_be_on_it(study):
    git(study, "branch", "older")
    later = commit(study, {"README.md": "more"})
    assert "is not on branch 'older'" in refusal(study, "extract", commit=later, branch="older")
    add(study, "extract", commit=later, branch="main")
    assert JobRequest.objects.get().branch == "main"


def test_unknown_actions_are_named_together_with_those_that_exist(study):
    message = refusal(study, "extrakt", "report", "reprot")
    assert message.startswith("Actions 'extrakt' and 'reprot' not found in project.yaml.")
    assert "Did you mean 'extract' and 'report'? Valid actions: extract and report." in message


@pytest.mark.parametrize("name", ["all", "runall", "RUN_ALL", "run-all"])
def test_run_all_is_offered_to_those_who_nearly_wrote_it(study, name):
    assert "Did you mean 'run_all'?" in refusal(study, name)


@pytest.mark.parametrize("action", ["../extract", "a/b", "extract\x1b[2J", "run all", ""])
def test_an_action_with_a_strange_name_is_refused_and_its_name_is_no_terminal_code(study, action):
    assert "\x1b" not in refusal(study, action)


def test_a_study_without_a_project_file_is_told_where_it_belongs(tmp_path):
    make_repository(tmp_path / "study", {"README.md": "hello"})
    message = refusal(tmp_path / "study", "extract")
    assert "no file 'project.yaml' at commit" in message and "at the top of its repository" in message


def test_a_project_file_of_another_name_is_pointed_at(tmp_path):
    make_repository(tmp_path / "study", {"project.yml": PROJECT})
    assert "Did you mean 'project.yml'?" in refusal(tmp_path / "study", "extract")


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


def test_several_images_that_cannot_be_had_are_told_at_once(study, settings):
    settings.ALLOWED_IMAGES = ("pyton", "rr")
    settings.ACTIONS_ORG_URL = "/nowhere/actions"
    message = refusal(study, "report")
    assert message.startswith("2 actions cannot be run:\n  Action extract: python:v2: ")
    assert "\n  Action report: r:v2: " in message and "Did you mean pyton?" in message


@pytest.fixture
def silent_host(settings):
    """No image is allowed, and nothing answers where reusable actions are looked for."""
    settings.ALLOWED_IMAGES = ("pyton",)
    settings.GIT_ALLOW_HTTP = True
    settings.GIT_TIMEOUT_SECONDS = 1
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings.ACTIONS_ORG_URL = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        yield


def test_a_dry_run_shows_the_plan_even_if_the_git_host_does_not_answer(study, capsys, silent_host):
    message = refusal(study, "report", dry_run=True)
    printed = capsys.readouterr().out
    assert printed.count("but it cannot be run: see below") == 2
    assert "would be added" not in printed
    assert message.startswith("'python' and 'r' (needed by extract and report) are none of the images of this backend")
    assert "did you mean pyton?" in message and "Nothing was added" in message


def test_a_git_host_that_does_not_answer_is_asked_for_one_action_only(study, silent_host, caplog):
    caplog.set_level("INFO")
    refusal(study, "report")
    assert len([line for line in caplog.messages if line.startswith("Looking for the reusable action")]) == 1


def test_the_faults_of_a_project_file_are_told_one_on_a_line(tmp_path):
    broken = PROJECT.replace("python:v2", "python").replace("needs: [extract]", "needs: [extrakt]")
    make_repository(tmp_path / "study", {"project.yaml": broken})
    assert refusal(tmp_path / "study", "extract").split("\n") == [
        "project.yaml has 2 faults:",
        "  line 5, action 'extract': 'python' in `run` must have a version, like 'python:v2'.",
        "  line 9, action 'report': `needs` lists unknown action 'extrakt'. Did you mean 'extract'?",
    ]


def test_what_is_not_committed_is_told_before_it_is_missed(study, capsys):
    commit(study, {"analysis/model.py": "1"})
    (study / "analysis/model.py").write_text("22")
    (study / "new.py").write_text("3")
    add(study, "extract")
    assert (
        "uncommitted changes are not run: analysis/model.py and new.py. To run them, commit them"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("options", [{"branch": "main"}, {"commit": "HEAD"}, {"commit": "refs/heads/main"}])
def test_naming_what_is_checked_out_is_warned_of_too(study, capsys, options):
    (study / "project.yaml").write_text(PROJECT + "\n# changed")
    add(study, "extract", dry_run=True, **options)
    assert "uncommitted changes are not run: project.yaml." in capsys.readouterr().err


def test_who_names_another_commit_knows_what_is_run(study, capsys):
    git(study, "branch", "older")
    git(study, "tag", "v1")
    (study / "project.yaml").write_text(PROJECT + "\n# changed")
    for options in ({"branch": "older"}, {"commit": "v1"}, {"commit": git(study, "rev-parse", "HEAD")}):
        add(study, "extract", dry_run=True, **options)
    assert "these changes" not in capsys.readouterr().err


def test_names_of_uncommitted_files_are_no_terminal_codes(study, capsys):
    (study / "a\x1b[31mb\n").write_text("x")
    add(study, "extract", dry_run=True)
    assert "a\\x1b[31mb\\n" in capsys.readouterr().err


def test_a_project_file_that_was_never_committed_is_named(tmp_path, capsys):
    make_repository(tmp_path / "study", {"README.md": "hello"})
    (tmp_path / "study/project.yaml").write_text(PROJECT)
    assert "no file 'project.yaml' at commit" in refusal(tmp_path / "study", "extract")
    assert "uncommitted changes are not run: project.yaml." in capsys.readouterr().err


def test_submodules_and_large_files_elsewhere_are_told_to_be_left_out(tmp_path, capsys):
    files = {".gitmodules": '[submodule "x"]\n', ".gitattributes": "*.csv filter=lfs\n", "project.yaml": PROJECT}
    make_repository(tmp_path / "study", files)
    add(tmp_path / "study", "extract", dry_run=True)
    printed = capsys.readouterr().err
    assert "submodules, which are left out" in printed and "LFS, whose files are left out" in printed


def test_a_mistyped_folder_is_answered_with_the_one_that_was_meant(study, monkeypatch):
    monkeypatch.chdir(study.parent)
    message = refusal("my stduy.git", "extract")
    assert "/my stduy.git'. Did you mean 'my study.git'?" in message and "There is no folder '/" in message


@pytest.mark.parametrize(
    ("repo", "https"),
    [
        ("git@github.com:org/study.git", "https://github.com/org/study."),
        ("github.com/org/study", "https://github.com/org/study."),
    ],
)
def test_an_address_of_another_form_is_answered_with_the_right_one(repo, https):
    assert f"Write {https}" in refusal(repo, "extract")


def test_a_file_in_place_of_a_folder_is_told_from_nothing(study):
    assert "is a file: give the folder" in refusal(study / "project.yaml", "extract")


def test_a_repository_with_sha_256_ids_is_not_taken_for_an_empty_one(tmp_path):
    (tmp_path / "study").mkdir()
    git(tmp_path / "study", "init", "--quiet", "--object-format=sha256")
    commit(tmp_path / "study", {"project.yaml": PROJECT})
    assert "SHA-256 ids, which are not supported" in refusal(tmp_path / "study", "extract")


def test_a_name_of_a_workspace_made_from_a_long_folder_is_cut(tmp_path):
    make_repository(tmp_path / ("x" * 200), {"project.yaml": PROJECT})
    add(tmp_path / ("x" * 200), "extract")
    assert JobRequest.objects.get().workspace == "x" * 128


def test_a_narrow_terminal_shows_the_plan_without_commands(study, capsys, monkeypatch):
    monkeypatch.setattr(local, "terminal", lambda: Console(width=80))
    add(study, "run_all", dry_run=True)
    printed = capsys.readouterr().out
    assert "│ report " in printed and "has not run" in printed and "report.r" not in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_the_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        call_command("add_job", "--help")
    assert "manage.py add_job demo/repo run_all --workspace demo --wait" in capsys.readouterr().out


def test_the_examples_of_the_help_that_need_nothing_but_this_repository_work(tmp_path, capsys):
    """They name actions of the demo study, which may be renamed."""
    repo = tmp_path / "repo"
    shutil.copytree(DEMO_STUDY, repo)
    make_repository(repo, {})
    examples = [line.split()[2:] for line in EXAMPLES.splitlines() if "add_job demo/repo" in line]
    assert len(examples) == 2
    for _, *arguments in examples:
        call_command(
            "add_job", str(repo), *(each for each in arguments if each not in ("--wait", "--dry-run")), "--dry-run"
        )
    assert "9 job(s) would be added" in capsys.readouterr().out


def test_a_branch_may_be_given_by_its_full_name_and_a_tag_never_is_one(study, capsys):
    git(study, "tag", "only-a-tag")
    assert "has no branch" in refusal(study, "extract", "--branch", "refs/tags/only-a-tag")
    call_command("add_job", str(study), "extract", "--branch", "refs/heads/main")
    assert JobRequest.objects.get().branch == "main"


def test_what_is_joined_at_another_commit_is_warned_of(study, capsys):
    call_command("add_job", str(study), "extract")
    first = JobRequest.objects.get().commit
    commit(study, {"extract.py": "changed"})
    capsys.readouterr()

    call_command("add_job", str(study), "extract")

    shown = capsys.readouterr()
    assert "Nothing to do: extract is already scheduled." in shown.out
    assert f"extract is already scheduled at commit {first[:10]} and will not run at" in shown.err


def test_two_studies_of_one_folder_name_are_warned_of_their_common_workspace(study, capsys):
    make_job(StatusCode.SUCCEEDED, request=make_request(workspace="my-study", repo_url="/elsewhere/my study"))
    call_command("add_job", str(study), "extract", "--dry-run")
    assert "workspace my-study has outputs of /elsewhere/my study, too" in capsys.readouterr().err


@pytest.mark.parametrize(("is_dummy", "is_warned"), [(True, True), (False, False)])
def test_who_asks_a_backend_with_dummy_data_for_a_database_is_told_so(study, capsys, settings, is_dummy, is_warned):
    settings.USING_DUMMY_DATA_BACKEND = is_dummy
    call_command("add_job", str(study), "extract", "--database", "full", "--dry-run")
    assert ("this backend uses dummy data" in capsys.readouterr().err) is is_warned


@pytest.mark.slow_test
def test_who_stops_waiting_is_told_that_the_jobs_stay(study, tmp_path):
    with Site(tmp_path, EXECUTOR="fake") as site:
        pause(site)
        waiting = site.start("add_job", str(study), "extract", "--wait")
        wait_until(lambda: site.statuses() == {"extract": "paused"}, what="the pause")
        waiting.send_signal(signal.SIGINT)
        printed, _ = waiting.communicate(timeout=30)
        assert waiting.returncode == 130
        assert "Stopped waiting. Containers that run go on" in printed


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
        pause(site)
        waiting = site.start("add_job", str(study), "extract", "--wait")
        wait_until(lambda: site.statuses() == {"extract": "paused"}, what="the pause")
        change(
            site,
            "UPDATE jobs_job SET stop_request = 'cancel', stop_requested_by = 'bob', stop_requested_at = '2026-01-01'",
        )
        printed, _ = waiting.communicate(timeout=30)
        assert waiting.returncode == 1
        assert "cancelled_by_user" in printed and "Cancelled by bob" in printed


@pytest.mark.slow_test
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_however_waiting_ends_its_runner_ends_too(study, tmp_path, number):
    with Site(tmp_path, EXECUTOR="fake") as site:
        pause(site)
        waiting = site.start("add_job", str(study), "extract", "--wait")
        wait_until(lambda: site.statuses() == {"extract": "paused"}, what="the pause")
        holder = int((site.work_dir / "run.lock").read_text().split()[1])
        assert holder != waiting.pid

        waiting.send_signal(number)

        wait_until(lambda: not Path(f"/proc/{holder}").exists(), seconds=15, what="the end of the runner")


def start_runner(site: Site) -> subprocess.Popen:
    runner = site.start("run")
    lock = site.work_dir / "run.lock"
    wait_until(lambda: lock.exists() and f"pid {runner.pid} " in lock.read_text(), what="the runner's start")
    return runner


def pause(site: Site) -> None:
    change(
        site,
        "INSERT INTO jobs_flag (name, value, set_by, reason, set_at) "
        "VALUES ('paused', 'on', 'olive', 'x', '2026-01-01')",
    )


def change(site: Site, sql: str) -> None:
    """As the web would, in another process."""
    site.change(sql)


def test_a_database_without_the_tables_of_this_version_is_refused_with_what_to_do(study, monkeypatch):
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda self, targets: [("0002_later", False)])

    assert "run `manage.py migrate`" in refusal(study, "report")
