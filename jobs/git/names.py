"""Which names of repositories, revisions and files git may be given at all.

git takes options where names stand (`--upload-pack=COMMAND` runs the command), has transports that run programs
(`ext::`), and reads names as little programs (`@{-1}`, `a..b`, `:path`). All of these come from outside, so each is
looked at before git sees it, and what is not plainly a name is refused with a sentence that says what would be right.
"""

import hashlib
import ipaddress
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from django.conf import settings

from jobs.git import sources
from jobs.git.errors import GitError, quoted, shown
from jobs.text import CONTROLS

_MOST_ADDRESS = 500
_MOST_REVISION = 255
_MOST_PATH = 4096
_CONTROL = re.compile(f"[{CONTROLS}]")
# `ext::COMMAND` and its like: git would run a program named by what stands before the colons.
_HELPER = re.compile(r"[A-Za-z0-9+.-]*::")
_LABEL = r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"({_LABEL}\.)*{_LABEL}")
_URL_PATH = re.compile(r"/[A-Za-z0-9._~+/-]*(%[0-9A-Fa-f]{2}[A-Za-z0-9._~+/-]*)*")


@dataclass(frozen=True)
class Remote:
    """A repository that git may be pointed at; only `check_repo` makes one.

    `name` is its address as people, rows and manifests know it; `address` is what git gets, which differs for a local
    folder and where a proxy stands for the host. `host` is the "host" or "host:port" of the name and empty for a local
    folder; `server` the one that is contacted. `is_of_actions`: only reusable actions may come from there, no studies.
    """

    name: str
    address: str
    protocol: str
    host: str = ""
    server: str = ""
    is_of_actions: bool = False

    @property
    def is_local(self) -> bool:
        return self.protocol == "file"

    @property
    def folder_name(self) -> str:
        """The name of its shared copy: readable for operators, different for different repositories.

        A proxy makes no difference: switching it on or off must not fetch everything again.
        """
        identity = self.address if self.is_local else self.name
        last_parts = "-".join(self.name.rstrip("/").split("/")[-2:])
        readable = re.sub(r"[^a-z0-9]+", "-", last_parts.lower()).strip("-")[:60]
        return f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def check_repo(repo: str) -> Remote:
    """The repository, if this site may read it. A pure look at the name: nothing is opened or contacted.

    Raises GitError. This is where a site's policy (`sources`) is applied, for whatever git is asked to read.
    """
    _refuse_control("Repository", repo, _MOST_ADDRESS)
    if repo.startswith("/"):
        return _local(repo)
    scheme, separator, _ = repo.partition("://")
    if not separator or _HELPER.match(repo):
        raise GitError(
            f"Repository '{shown(repo)}' is neither an https:// address nor a local folder.{_https_hint(repo)}"
        )
    if scheme.lower() not in ("https", "http") or (scheme.lower() == "http" and not settings.GIT_ALLOW_HTTP):
        raise GitError(
            f"Repository '{shown(repo)}' would be read by {shown(scheme)}://, which this site does not allow: "
            "use its https:// address."
        )
    return _over_http(repo)


def check_study(repo: str) -> Remote:
    """The repository, if a study may come from it: reusable actions' own repositories are none. Raises GitError."""
    remote = check_repo(repo)
    if remote.is_of_actions:
        raise GitError(sources.refusal_of_study(shown(remote.name), remote.host, urlsplit(remote.name).path))
    return remote


def _local(path: str) -> Remote:
    if not settings.ALLOW_LOCAL_REPOS:
        raise GitError(
            f"Repository '{shown(path)}' is a local folder, which this site does not allow (see ALLOW_LOCAL_REPOS)."
        )
    path = str(Path(posixpath.normpath(path)))
    # As an address, because git reads a bare path in several ways (`host:path`, a bundle file, a copy by hard links).
    return Remote(name=path, address="file://" + quote(path), protocol="file")


def _over_http(repo: str) -> Remote:
    try:
        parts = urlsplit(repo)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise GitError(f"Repository '{shown(repo)}' is not a valid address.") from None
    if "@" in parts.netloc:
        raise GitError(f"Repository '{shown(repo)}' carries a user name or password: leave it out of the address.")
    if not _is_host(host):
        raise GitError(f"Repository '{shown(repo)}': '{shown(host)}' is not the name of a git host.")
    _check_url_path(repo, parts.path, parts.query or parts.fragment or repo.endswith(("?", "#")))
    literal = f"[{host}]" if ":" in host else host
    host = literal if port is None else f"{literal}:{port}"
    path = parts.path.rstrip("/")
    name = f"{parts.scheme}://{host}{path}"
    refusal = sources.refusal_of_study(shown(name), host, path)
    if refusal and not sources.is_of_actions(parts.scheme, host, path):
        raise GitError(refusal)
    server = sources.server_for(host)
    address = f"{parts.scheme}://{server}{path}"
    return Remote(name, address, parts.scheme, host=host, server=server, is_of_actions=bool(refusal))


def _https_hint(repo: str) -> str:
    """For what people copy from a git host's page or from their own remotes."""
    found = re.fullmatch(r"(?:[\w.-]+@)?([\w-]+(?:\.[\w-]+)+)[:/]([\w./-]+)", repo)
    return f" Write https://{found[1]}/{found[2].removesuffix('.git')}." if found else ""


def _check_url_path(repo: str, path: str, has_more: object) -> None:
    plain = unquote(path)
    # A "%" that is left could be unpacked a second time by a proxy on the way: "%252e%252e" would become "..".
    if has_more or not _URL_PATH.fullmatch(path) or _CONTROL.search(plain) or "\\" in plain or "%" in plain:
        raise GitError(f"Repository '{shown(repo)}' is not the plain address of a repository.")
    steps = plain.removeprefix("/").removesuffix("/").split("/")
    if any(step in ("", ".", "..") or step.startswith("-") for step in steps):
        raise GitError(f"Repository '{shown(repo)}' has a part that is empty, '.' or '..', or begins with '-'.")


def _is_host(host: str) -> bool:
    """An ASCII host name or a whole IP address; never a link-local one (a cloud's metadata service lives there)."""
    try:
        return not ipaddress.ip_address(host).is_link_local
    except ValueError:
        # A last label of digits (or 0x…) is read by curl as an IP address in disguise.
        last = host.rpartition(".")[2]
        return bool(_HOST.fullmatch(host)) and len(host) <= 253 and not re.match(r"\d+$|0x", last)


def check_revision(revision: str) -> str:
    """A commit id or part of one, a branch, a tag, "HEAD", refs/heads/… or refs/tags/…; raises GitError."""
    _refuse_control("Revision", revision, _MOST_REVISION)
    if revision.startswith("refs/") and not revision.startswith(("refs/heads/", "refs/tags/")):
        raise GitError(f"{quoted(revision)} is neither a branch nor a tag: only these and commit ids can be run.")
    # The rules of `git check-ref-format`.
    malformed = re.search(r"[ ~^:?*\[\\]|\.\.|@\{|//|/\.|^\.|^@$|^/|[/.]$|\.lock(/|$)", revision)
    if malformed:
        raise GitError(f"{quoted(revision)} is not the name of a branch or tag: {malformed[0]!r} may not stand in it.")
    return revision


def check_branch(branch: str) -> str:
    """The name of a branch, without refs/heads/; raises GitError."""
    check_revision(branch)
    if branch.startswith("refs/") or branch == "HEAD":
        raise GitError(f"{quoted(branch)} is not the short name of a branch: leave out refs/heads/.")
    return branch


def check_commit(commit: str) -> str:
    """A full commit id in lower case; raises GitError."""
    if not isinstance(commit, str) or not is_full_id(commit):
        raise GitError(f"{quoted(str(commit))} is not a full commit id (40 of 0-9 and a-f).")
    return commit


def is_full_id(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-f]{40}", text))


def check_path(path: str) -> str:
    """The path of a file in a repository, from its top, with `/`; raises GitError."""
    _refuse_control("File name", path, _MOST_PATH)
    if any(step in ("", ".", "..") for step in path.split("/")):
        raise GitError(
            f"{quoted(path)} is not the path of a file in a repository: write it from the top, without '..'."
        )
    return path


def _refuse_control(what: str, text: str, most: int) -> None:
    if not isinstance(text, str) or not text:
        raise GitError(f"{what} is empty.")
    name = f"'{shown(text)}'" if what == "Repository" else quoted(text)
    if len(text) > most:
        raise GitError(f"{what} {name[:60]}…' is longer than {most} characters.")
    if text.startswith("-"):
        raise GitError(f"{what} {name} begins with '-', which git would read as an option.")
    if _CONTROL.search(text):
        raise GitError(f"{what} {name} has a control character in it.")
