"""What the job runner wants of git: which commit a name means, one file of a commit, all of its files, its branch.

Local folders and addresses go the same way: a commit is fetched once into the runner's own copy (`copies`) and read
from there, so a planned job does not change when its repository does. Callers need not know about copies, locks,
retries or tokens. Every name is looked at before git sees it (`names`).
"""

import difflib
import hashlib
import re

from jobs.git.archive import export
from jobs.git.asking import complete_id, contact, list_refs
from jobs.git.copies import HISTORY, Copy
from jobs.git.deadline import Deadline, within
from jobs.git.errors import (
    GitError,
    GitFailed,
    GitFileNotFound,
    GitUnavailable,
    UnknownRevision,
    explain,
    plain,
    quoted,
    shown,
)
from jobs.git.names import (
    Remote,
    check_branch,
    check_commit,
    check_path,
    check_repo,
    check_revision,
    check_study,
    is_full_id,
)
from jobs.git.process import GitProcess, run
from jobs.git.work_tree import uncommitted
from jobs.text import listed

__all__ = [
    "GitError",
    "GitFileNotFound",
    "GitUnavailable",
    "UnknownRevision",
    "check_repo",
    "check_study",
    "export",
    "is_full_id",
    "is_on_branch",
    "read_file",
    "resolve",
    "resolve_with_branch",
    "shown",
    "uncommitted",
    "within",
]

_MOST_LISTING_BYTES = 1024 * 1024
_MOST_COMPARED = 2000


def resolve(repo: str, revision: str) -> str:
    """The full id of the commit that `revision` means in `repo` now; the runner then has that commit.

    A revision is a commit id (part of one: only in a local repository, or the tip of a branch or tag), a branch, a tag,
    "HEAD", or one of these written refs/heads/… or refs/tags/…. Raises UnknownRevision, which says what there is,
    GitError and GitUnavailable.
    """
    return resolve_with_branch(repo, revision)[0]


def resolve_with_branch(repo: str, revision: str) -> tuple[str, str]:
    """As `resolve`; also the short name of the branch on which the commit is to be looked for.

    That is the revision itself if it is a branch, the default branch for a tag and for HEAD, and "" for a commit id or
    where HEAD stands for no branch. Only what it was asked is looked at: a tag's commit may be on another branch.
    """
    remote = check_repo(repo)
    check_revision(revision)
    deadline = Deadline.of_settings()
    commit, branch = (revision.lower(), "") if is_full_id(revision.lower()) else _find(remote, revision, deadline)
    Copy(remote).ensure(commit, deadline)
    return commit, branch


def read_file(repo: str, commit: str, path: str, *, max_bytes: int = 5_000_000) -> bytes:
    """The content of one file at a commit (full id), as committed.

    Raises GitFileNotFound (no such path, or it is a folder, link or submodule), GitError (larger than `max_bytes`,
    unknown commit, …) and GitUnavailable.
    """
    copy = Copy(check_repo(repo))
    check_commit(commit)
    check_path(path)
    deadline = Deadline.of_settings()
    return copy.read(commit, lambda: _read_blob(copy, commit, path, max_bytes, deadline), deadline)


def is_on_branch(repo: str, commit: str, branch: str) -> bool:
    """Whether the repository's branch of that name leads back to the commit (full id), as of now.

    Always asks the repository. Raises UnknownRevision if there is no such branch, GitError and GitUnavailable.
    """
    remote = check_repo(repo)
    check_commit(commit)
    ref = f"refs/heads/{check_branch(branch)}"
    deadline = Deadline.of_settings()
    refs = list_refs(remote, deadline).commits
    if ref not in refs:
        raise _unknown(remote, ref, refs)
    if refs[ref] == commit:
        return True
    history = Copy(remote, HISTORY)
    return history.update(lambda lock: _history_has(history, ref, commit, lock, deadline), deadline)


def _find(remote: Remote, revision: str, deadline: Deadline) -> tuple[str, str]:
    refs, default_branch = list_refs(remote, deadline)
    found = {name: refs[name] for name in _spellings(revision) if name in refs}
    if len(set(found.values())) > 1:
        raise UnknownRevision(
            f"{quoted(revision)} is both a branch and a tag of {remote.name}, at different commits: "
            f"write {' or '.join(found)}."
        )
    if found:
        name, commit = next(iter(found.items()))
        return commit, name.removeprefix("refs/heads/") if name.startswith("refs/heads/") else default_branch
    commit = _find_by_start(remote, revision, refs, deadline)
    if not commit:
        raise _unknown(remote, revision, refs)
    return commit, ""


def _spellings(revision: str) -> list[str]:
    if revision == "HEAD" or revision.startswith("refs/"):
        return [revision]
    return [f"refs/heads/{revision}", f"refs/tags/{revision}"]


def _find_by_start(remote: Remote, revision: str, refs: dict[str, str], deadline: Deadline) -> str | None:
    """The commit whose id begins so: any of a local repository, else only what a branch or tag stands at."""
    start = revision.lower()
    if not re.fullmatch(r"[0-9a-f]{4,39}", start):
        return None
    tips = {commit for commit in refs.values() if commit.startswith(start)}
    if len(tips) == 1:
        return tips.pop()
    return complete_id(remote, start, deadline) if remote.is_local else None


def _unknown(remote: Remote, revision: str, refs: dict[str, str]) -> UnknownRevision:
    """Says what there is, what may have been meant, and what else could be wrong with the revision."""
    what = "branch, tag or commit"
    if revision.startswith("refs/"):
        what = "branch" if revision.startswith("refs/heads/") else "tag"
        revision = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
    sentences = [f"{remote.name} has no {what} {quoted(revision)}."]
    if not refs:
        sentences = [f"{remote.name} has no commits yet: commit the study (and push it) first."]
    elif re.fullmatch(r"[0-9a-fA-F]{7,}", revision) and not remote.is_local:
        sentences.append(f"A commit id has to be given in full, with 40 characters rather than {len(revision)}.")
    branches = [name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/")]
    tags = [name.removeprefix("refs/tags/") for name in refs if name.startswith("refs/tags/")]
    meant = {"branch": branches, "tag": tags}.get(what, branches + tags)
    near = difflib.get_close_matches(revision, meant[:_MOST_COMPARED], n=1)
    if near:
        sentences.append(f"Did you mean {quoted(near[0])}?")
    if branches and what != "tag":
        sentences.append(f"Branches: {listed(branches)}.")
    if tags and what != "branch":
        sentences.append(f"Tags: {listed(tags)}.")
    return UnknownRevision(plain(" ".join(sentences)))


def _read_blob(copy: Copy, commit: str, path: str, max_bytes: int, deadline: Deadline) -> bytes:
    found = _list_folder(copy, commit, path, deadline).get(path)
    where = f"at commit {commit[:10]} of {copy.remote.name}"
    if found is None:
        raise _not_found(copy, commit, path, deadline)
    mode, kind, object_id, size = found
    if kind != "blob" or mode == "120000":
        name = {"tree": "a folder", "commit": "a submodule"}.get(kind, "a symbolic link")
        raise GitFileNotFound(f"{quoted(path)} {where} is {name}, not a file.")
    if int(size) > max_bytes:
        raise GitError(f"{quoted(path)} {where} has {size} bytes; at most {max_bytes} are read.")
    return run(copy.git("cat-file", "blob", object_id), deadline, most_bytes=max_bytes)


def _not_found(copy: Copy, commit: str, path: str, deadline: Deadline) -> GitFileNotFound:
    folder, slash, _ = path.rpartition("/")
    names = list(_list_folder(copy, commit, folder + slash, deadline))[:_MOST_COMPARED]
    near = difflib.get_close_matches(path, names, n=1, cutoff=0.75)
    hint = f" Did you mean {quoted(near[0])}?" if near else ""
    return GitFileNotFound(f"There is no file {quoted(path)} at commit {commit[:10]} of {copy.remote.name}.{hint}")


def _list_folder(copy: Copy, commit: str, path: str, deadline: Deadline) -> dict[str, list[str]]:
    """Path -> mode, kind, object id, size of the one thing at `path`; with a `/` at its end, of all that lies in it."""
    wanted = ["--", path] if path else []
    listing = run(
        copy.git("ls-tree", "-l", "-z", "--full-tree", commit, *wanted), deadline, most_bytes=_MOST_LISTING_BYTES
    )
    entries = (entry.partition("\t") for entry in listing.decode("utf-8", "replace").split("\0") if entry)
    return {name: description.split() for description, _, name in entries}


def _history_has(history: Copy, ref: str, commit: str, lock: int, deadline: Deadline) -> bool:
    """Fetch the branch's commits without their files, and look for this one among them."""
    # Under a name of fixed form: a branch `a/b` could not be stored beside an older branch `a`.
    ours = f"refs/jobrunner/branches/{hashlib.sha256(ref.encode()).hexdigest()[:32]}"
    contact(history.remote, history.fetch_of(f"+{ref}:{ours}", "--filter=tree:0"), deadline, lock)
    try:
        with GitProcess(history.git("rev-list", "--end-of-options", ours)) as process:
            return any(line == commit.encode() for line in process.records(deadline, b"\n"))
    except GitFailed as failed:
        raise explain(failed, history.remote.name) from None
