"""A commit as a tar stream: what is in it, what is refused, and that it is never silently short."""

import os
import tarfile

import pytest

from jobs import git
from jobs.git.copies import Copy
from jobs.git.names import check_repo
from tests.git_repositories import commit, make_repository
from tests.git_repositories import git as run_git


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "study"
    make_repository(path, {"project.yaml": "version: 1\n", "analysis/model.py": "print(1)\n"})
    return path


def unpacked(folder, sha):
    """Name -> (kind, content or target) of everything in the export."""
    found = {}
    with git.export(str(folder), sha) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            found[member.name] = (member.type, file.read() if file else member.linkname)
    return found


def commit_of_tree(folder, tree):
    return run_git(folder, "commit-tree", "-m", "x", tree)


def make_tree(folder, *entries):
    """A tree of "MODE KIND ID<tab>NAME" entries, written as it stands, however wrong."""
    raw = b"".join(
        mode.encode() + b" " + name.encode() + b"\0" + bytes.fromhex(object_id) for mode, object_id, name in entries
    )
    return run_git(folder, "hash-object", "-t", "tree", "--literally", "-w", "--stdin", stdin=raw)


def make_blob(folder, content):
    return run_git(folder, "hash-object", "-w", "--stdin", stdin=content)


def test_the_files_of_the_commit_come_out_as_they_were_committed(folder):
    content = os.urandom(300_000)
    sha = commit(folder, {"data.bin": content, "a/b/c/d.txt": "deep", "with space/ünï": b"\xff"})

    found = unpacked(folder, sha)

    assert found["data.bin"] == (tarfile.REGTYPE, content)
    assert found["a/b/c/d.txt"] == (tarfile.REGTYPE, b"deep")
    assert found["with space/ünï"] == (tarfile.REGTYPE, b"\xff")
    assert found["analysis/model.py"] == (tarfile.REGTYPE, b"print(1)\n")


def test_programs_stay_programs_and_nothing_is_writable_by_others(folder):
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o777)
    sha = commit(folder, {})

    with git.export(str(folder), sha) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        modes = {member.name: member.mode for member in tar}

    assert modes["run.sh"] == 0o755
    assert modes["project.yaml"] == 0o644


def test_attributes_can_neither_hide_a_file_nor_change_one(folder):
    attributes = (
        "hidden.txt export-ignore\nhidden/** export-ignore\nhidden export-ignore\nsubst.txt export-subst\n"
        "subst.txt ident\ncrlf.txt text eol=crlf\nfiltered.txt filter=evil\nwide.txt working-tree-encoding=UTF-16\n"
        "* diff=evil merge=evil\n"
    )
    files = {
        "hidden.txt": "seen",
        "hidden/hidden.txt": "seen",
        "subst.txt": "$Format:%H$ $Id$\n",
        "crlf.txt": "a\nb\n",
        "filtered.txt": "plain",
        "wide.txt": "plain",
    }
    commit(folder, files)
    # The attributes come last, since they would change what `git add` stores.
    blob = make_blob(folder, attributes.encode())
    run_git(folder, "update-index", "--add", "--cacheinfo", f"100644,{blob},.gitattributes")
    run_git(folder, "update-index", "--add", "--cacheinfo", f"100644,{blob},hidden/.gitattributes")
    sha = commit_of_tree(folder, run_git(folder, "write-tree"))

    found = unpacked(folder, sha)

    assert {name: found[name][1].decode() for name in files} == files
    assert ".gitattributes" in found
    assert "hidden/.gitattributes" in found


def test_links_come_out_as_links_and_are_never_followed(folder):
    (folder / "passwords").symlink_to("/etc/passwd")

    found = unpacked(folder, commit(folder, {}))

    assert found["passwords"] == (tarfile.SYMTYPE, "/etc/passwd")


def test_a_submodule_comes_out_as_an_empty_folder_and_nothing_is_fetched_for_it(folder):
    modules = '[submodule "sub"]\n\tpath = sub\n\turl = ext::touch canary\n\tupdate = !touch canary\n'
    commit(folder, {".gitmodules": modules})
    run_git(folder, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    run_git(folder, "commit", "--quiet", "--message=x")

    found = unpacked(folder, run_git(folder, "rev-parse", "HEAD"))

    assert found["sub"][0] == tarfile.DIRTYPE
    assert not [name for name in found if name.startswith("sub/")]


def test_a_tree_that_unfolds_to_a_thousand_million_files_is_refused_at_once(folder):
    inner = ("100644", make_blob(folder, b"x"), "f")
    tree = make_tree(folder, inner)
    for _ in range(9):
        tree = make_tree(folder, *(("40000", tree, f"d{number}") for number in range(10)))

    with pytest.raises(git.GitError, match="more than 50000 files"):
        unpacked(folder, commit_of_tree(folder, tree))


def test_endless_empty_folders_are_refused_too(folder):
    tree = run_git(folder, "mktree")
    for _ in range(9):
        tree = make_tree(folder, *(("40000", tree, f"d{number}") for number in range(10)))

    with pytest.raises(git.GitError, match="more than 50000 files"):
        unpacked(folder, commit_of_tree(folder, tree))


def test_a_small_repository_with_a_huge_file_is_refused(folder, settings):
    settings.GIT_MAX_BYTES = 10_000_000
    sha = commit(folder, {"zeros": b"\0" * 10_000_000})

    with pytest.raises(git.GitError, match="GIT_MAX_BYTES"):
        unpacked(folder, sha)


def test_exactly_the_allowed_size_is_allowed(folder, settings):
    sha = commit(folder, {"project.yaml": b"x" * 991})
    settings.GIT_MAX_BYTES = 1000
    settings.GIT_MAX_FILES = 3

    assert len(unpacked(folder, sha)) == 3

    settings.GIT_MAX_FILES = 2
    with pytest.raises(git.GitError, match="GIT_MAX_FILES"):
        unpacked(folder, sha)


@pytest.mark.parametrize("name", ["..", ".", ".git", ".GIT", "a/../../b"])
def test_names_that_leave_the_folder_or_pose_as_gits_own_are_refused(folder, name):
    blob = make_blob(folder, b"x")
    tree = make_tree(folder, ("100644", blob, name))

    with pytest.raises(git.GitError):
        unpacked(folder, commit_of_tree(folder, tree))


def test_a_link_and_a_folder_of_the_same_name_are_refused(folder):
    inner = make_tree(folder, ("100644", make_blob(folder, b"x"), "f"))
    tree = make_tree(folder, ("120000", make_blob(folder, b"/tmp"), "a"), ("40000", inner, "a"))

    with pytest.raises(git.GitError, match="two files named"):
        unpacked(folder, commit_of_tree(folder, tree))


def test_a_name_of_absurd_length_is_refused(folder):
    tree = make_tree(folder, ("100644", make_blob(folder, b"x"), "n" * 100_000))

    with pytest.raises(git.GitError):
        unpacked(folder, commit_of_tree(folder, tree))


def test_an_unknown_commit_is_refused_before_anything_is_streamed(folder):
    with pytest.raises(git.UnknownRevision, match="1" * 40), git.export(str(folder), "1" * 40):
        pytest.fail("no stream may be given")


def test_a_stream_that_git_cannot_finish_ends_in_an_error_and_the_next_try_is_whole(folder):
    sha = commit(folder, {f"file{number}": os.urandom(1_000_000) for number in range(4)})
    expected = unpacked(folder, sha)
    damage_contents(folder, sha)

    with pytest.raises(git.GitUnavailable, match="damaged"):
        unpacked(folder, sha)

    assert unpacked(folder, sha) == expected


def test_who_stops_reading_early_still_learns_that_the_stream_was_not_whole(folder):
    sha = commit(folder, {f"file{number}": os.urandom(1_000_000) for number in range(4)})
    git.resolve(str(folder), sha)
    damage_contents(folder, sha)

    with pytest.raises(git.GitUnavailable, match="damaged"), git.export(str(folder), sha) as stream:
        assert stream.read(512)


def damage_contents(folder, sha):
    """Change a byte in the middle of the runner's copy: the list of files stays readable."""
    git.resolve(str(folder), sha)
    (pack,) = (Copy(check_repo(str(folder))).path / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    with pack.open("r+b") as file:
        file.seek(pack.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))


def test_an_error_of_the_reader_ends_git_and_passes_through(folder):
    sha = commit(folder, {"data": os.urandom(3_000_000)})

    with pytest.raises(ZeroDivisionError), git.export(str(folder), sha) as stream:
        stream.read(512)
        raise ZeroDivisionError
