"""Names to commits, files of commits, commits on branches: for a local folder and for a server alike."""

import shutil

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs import git
from jobs.errors import JobError
from tests.git_repositories import commit, make_repository
from tests.git_repositories import git as run_git

NOWHERE = "1" * 40


@pytest.fixture
def folder(tmp_path):
    """A study with two commits: `main` at the second, `v1` (annotated) and `first` (light) at the first."""
    path = tmp_path / "served" / "study"
    make_repository(path, {"project.yaml": "version: 1\n", "analysis/model.py": "print(1)\n"})
    run_git(path, "tag", "--annotate", "--message=x", "v1")
    run_git(path, "tag", "first")
    commit(path, {"project.yaml": "version: 2\n"})
    return path


@pytest.fixture(params=["local", "http", "old http"])
def repo(serve, request, folder):
    if request.param == "local":
        yield str(folder)
        return
    with serve(folder.parent, newest_protocol=request.param == "http") as server:
        yield f"{server.url}/study"


@pytest.fixture
def local(folder):
    return str(folder)


def first_and_last(folder):
    return run_git(folder, "rev-parse", "HEAD~1"), run_git(folder, "rev-parse", "HEAD")


@pytest.mark.parametrize("revision", ["HEAD", "main", "refs/heads/main"])
def test_a_branch_means_its_last_commit(repo, folder, revision):
    assert git.resolve(repo, revision) == first_and_last(folder)[1]


@pytest.mark.parametrize("revision", ["v1", "first", "refs/tags/v1"])
def test_a_tag_means_the_commit_that_it_was_put_on(repo, folder, revision):
    assert git.resolve(repo, revision) == first_and_last(folder)[0]


def test_a_full_id_means_that_commit_also_when_no_branch_stands_at_it(repo, folder):
    run_git(folder, "tag", "--delete", "v1", "first")
    first, _ = first_and_last(folder)

    assert git.resolve(repo, first) == first
    assert git.resolve(repo, first.upper()) == first


def test_the_start_of_the_id_of_a_branchs_tip_is_enough(repo, folder):
    _, last = first_and_last(folder)

    assert git.resolve(repo, last[:8]) == last


def test_the_start_of_any_id_is_enough_in_a_local_folder(local, folder):
    run_git(folder, "tag", "--delete", "v1", "first")
    first, _ = first_and_last(folder)

    assert git.resolve(local, first[:8]) == first


def test_a_shortened_id_on_a_server_is_asked_for_in_full(serve, folder):
    run_git(folder, "tag", "--delete", "v1", "first")
    first, _ = first_and_last(folder)

    with serve(folder.parent) as server, pytest.raises(git.UnknownRevision, match="in full, with 40 characters"):
        git.resolve(f"{server.url}/study", first[:10])


def test_an_unknown_branch_is_answered_with_what_there_is(repo):
    with pytest.raises(git.UnknownRevision) as caught:
        git.resolve(repo, "nain")

    assert "Did you mean 'main'?" in str(caught.value)
    assert "Branches: main." in str(caught.value)
    assert "Tags: first and v1." in str(caught.value)
    assert repo in str(caught.value)


def test_an_unknown_commit_is_named_in_the_message(repo):
    with pytest.raises(git.UnknownRevision, match=NOWHERE):
        git.resolve(repo, NOWHERE)


def test_an_object_that_is_no_commit_is_refused(repo, folder):
    tree = run_git(folder, "rev-parse", "HEAD^{tree}")

    with pytest.raises(git.GitError, match=tree):
        git.resolve(repo, tree)


def test_a_name_that_is_branch_and_tag_at_different_commits_has_to_be_told_apart(repo, folder):
    first, last = first_and_last(folder)
    run_git(folder, "branch", "v1")

    with pytest.raises(git.UnknownRevision, match=r"refs/heads/v1 or refs/tags/v1"):
        git.resolve(repo, "v1")

    assert git.resolve(repo, "refs/heads/v1") == last
    assert git.resolve(repo, "refs/tags/v1") == first


def test_a_branch_that_looks_like_the_start_of_an_id_is_a_branch(repo, folder):
    first, last = first_and_last(folder)
    run_git(folder, "branch", last[:8], first)

    assert git.resolve(repo, last[:8]) == first


def test_only_the_end_of_a_moved_branch_counts(repo, folder):
    git.resolve(repo, "main")
    newest = commit(folder, {"new": "x"})

    assert git.resolve(repo, "main") == newest


def test_a_repository_without_commits_says_so(tmp_path):
    run_git(tmp_path, "init", "--quiet", "study")

    with pytest.raises(git.UnknownRevision, match="no commits yet"):
        git.resolve(str(tmp_path / "study"), "HEAD")


def test_a_folder_that_does_not_exist_says_so(tmp_path):
    with pytest.raises(git.GitError, match=r"There is no folder .*/nowhere"):
        git.resolve(str(tmp_path / "nowhere"), "main")


def test_a_folder_that_is_no_repository_says_how_to_make_it_one(tmp_path):
    with pytest.raises(git.GitError, match=r"is not a git repository.*git init"):
        git.resolve(str(tmp_path), "main")


def test_a_folder_inside_another_repository_is_not_taken_for_that_one(folder):
    with pytest.raises(git.GitError, match=f"lies inside the repository {folder}"):
        git.resolve(str(folder / "analysis"), "main")


def test_a_folder_beside_a_bare_repository_of_its_name_is_not_taken_for_that_one(folder, tmp_path):
    run_git(tmp_path, "clone", "--quiet", "--bare", str(folder), "twin.git")
    (tmp_path / "twin").mkdir()

    with pytest.raises(git.GitError, match="is not a git repository"):
        git.resolve(str(tmp_path / "twin"), "main")


def test_bare_repositories_and_further_work_trees_are_repositories(folder, tmp_path):
    first, last = first_and_last(folder)
    run_git(tmp_path, "clone", "--quiet", "--bare", str(folder), "bare.git")
    run_git(folder, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "tree"), first)

    assert git.resolve(str(tmp_path / "bare.git"), "main") == last
    assert git.resolve(str(tmp_path / "tree"), "HEAD") == first
    assert git.resolve(str(tmp_path / "tree"), last[:9]) == last


@pytest.mark.parametrize("name", ["with space", "a:b", "per%20cent", "ünï", "a'b\"c$d", "#hash?x=1"])
def test_a_local_folder_may_have_any_printable_name(tmp_path, name):
    sha = make_repository(tmp_path / name, {"project.yaml": "x"})

    assert git.resolve(str(tmp_path / name), "main") == sha
    assert git.read_file(str(tmp_path / name), sha, "project.yaml") == b"x"


def test_a_file_is_read_as_it_was_at_the_commit(repo, folder):
    first, last = first_and_last(folder)

    assert git.read_file(repo, first, "project.yaml") == b"version: 1\n"
    assert git.read_file(repo, last, "project.yaml") == b"version: 2\n"
    assert git.read_file(repo, last, "analysis/model.py") == b"print(1)\n"


def test_a_commit_that_was_read_is_kept_when_its_repository_disappears(repo, folder):
    first, _ = first_and_last(folder)
    git.resolve(repo, first)
    shutil.rmtree(folder)

    assert git.resolve(repo, first) == first
    assert git.read_file(repo, first, "project.yaml") == b"version: 1\n"


def test_a_missing_file_is_answered_with_a_near_one(local, folder):
    _, last = first_and_last(folder)

    with pytest.raises(git.GitFileNotFound, match=r"no file 'project.yml' .*Did you mean 'project.yaml'\?"):
        git.read_file(local, last, "project.yml")
    with pytest.raises(git.GitFileNotFound, match=r"Did you mean 'analysis/model.py'\?"):
        git.read_file(local, last, "analysis/modell.py")


@pytest.mark.parametrize(
    ("path", "what"), [("analysis", "a folder"), ("link", "a symbolic link"), ("sub", "a submodule")]
)
def test_only_a_file_can_be_read(folder, path, what):
    (folder / "link").symlink_to("/etc/passwd")
    run_git(folder, "add", "link")
    run_git(folder, "update-index", "--add", "--cacheinfo", f"160000,{NOWHERE},sub")
    run_git(folder, "commit", "--quiet", "--message=x")

    with pytest.raises(git.GitFileNotFound, match=what):
        git.read_file(str(folder), run_git(folder, "rev-parse", "HEAD"), path)


def test_a_file_is_not_reached_through_a_link(folder):
    (folder / "link").symlink_to("analysis")

    with pytest.raises(git.GitFileNotFound):
        git.read_file(str(folder), commit(folder, {}), "link/model.py")


def test_a_file_larger_than_the_reader_wants_is_refused(local, folder):
    sha = commit(folder, {"big": b"x" * 1001})

    with pytest.raises(git.GitError, match="1001 bytes; at most 1000"):
        git.read_file(local, sha, "big", max_bytes=1000)
    assert len(git.read_file(local, sha, "big", max_bytes=1001)) == 1001


@pytest.mark.parametrize("name", ["*.py", ":(top)project.yaml", "[a]", "with space", "ünï"])
def test_a_name_is_a_name_and_never_a_pattern(local, folder, name):
    _, last = first_and_last(folder)

    with pytest.raises(git.GitFileNotFound):
        git.read_file(local, last, name)
    assert git.read_file(local, commit(folder, {name: "its own"}), name) == b"its own"


def test_every_commit_that_a_branch_leads_back_to_is_on_it(repo, folder):
    first, last = first_and_last(folder)

    assert git.is_on_branch(repo, last, "main")
    assert git.is_on_branch(repo, first, "main")


def test_a_commit_of_another_branch_is_not_on_this_one(repo, folder):
    run_git(folder, "checkout", "--quiet", "-b", "experiments/one", "HEAD~1")
    side = commit(folder, {"x": "y"})

    assert not git.is_on_branch(repo, side, "main")
    assert not git.is_on_branch(repo, NOWHERE, "main")
    assert git.is_on_branch(repo, side, "experiments/one")


def test_a_commit_that_a_force_push_removed_is_no_longer_on_the_branch(repo, folder):
    first, last = first_and_last(folder)
    newest = commit(folder, {"x": "y"})
    assert git.is_on_branch(repo, last, "main")
    run_git(folder, "reset", "--quiet", "--hard", first)
    commit(folder, {"x": "z"})

    assert not git.is_on_branch(repo, last, "main")
    assert not git.is_on_branch(repo, newest, "main")
    assert git.is_on_branch(repo, first, "main")


def test_a_tag_of_the_branchs_name_is_not_the_branch(repo, folder):
    with pytest.raises(git.UnknownRevision, match="'v1'"):
        git.is_on_branch(repo, first_and_last(folder)[0], "v1")


def test_a_branch_may_take_the_place_of_a_folder_of_branches(repo, folder):
    first, _ = first_and_last(folder)
    run_git(folder, "branch", "topic")
    assert git.is_on_branch(repo, first, "topic")
    run_git(folder, "branch", "--delete", "--force", "topic")
    run_git(folder, "branch", "topic/one")

    assert git.is_on_branch(repo, first, "topic/one")


@given(
    text=st.text(max_size=30) | st.from_regex(r"[a-f0-9]{3,41}|-{1,2}[a-z]+(=.*)?|(refs/)?heads?/.*", fullmatch=True)
)
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_as_a_revision_is_a_commit_or_a_clear_error(local, folder, text):
    try:
        sha = git.resolve(local, text)
    except JobError as error:
        assert str(error)
    else:
        assert sha in first_and_last(folder)


def test_what_a_local_repository_configures_is_not_run(folder, tmp_path):
    first, last = first_and_last(folder)
    canary = tmp_path / "canary"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch {canary}\n")
    script.chmod(0o755)
    for key in ("uploadpack.packObjectsHook", "core.fsmonitor", "core.sshCommand", "core.gitProxy", "diff.external"):
        run_git(folder, "config", key, str(script))
    for hook in ("post-checkout", "reference-transaction", "post-merge", "pre-auto-gc"):
        shutil.copy(script, folder / ".git" / "hooks" / hook)

    git.resolve(str(folder), last[:8])
    git.read_file(str(folder), last, "project.yaml")
    git.is_on_branch(str(folder), first, "main")
    with git.export(str(folder), last) as stream:
        stream.read()

    assert not canary.exists()
