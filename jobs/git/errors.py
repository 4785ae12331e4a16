"""The ways in which git fails, told apart by their fate, in sentences without secrets.

A study's author can mend a wrong branch name; nobody's job may fail because a git host is down. git says both only in
the text of its standard error, so that text is read here and nowhere else. This module never runs git.
"""

import base64
import re
import signal

from django.conf import settings

from jobs.errors import JobError, Unavailable
from jobs.log import escape
from jobs.text import without_credentials

_MOST_SHOWN = 600


class GitError(JobError):
    """The repository, or what was asked of it, is wrong: trying again changes nothing."""


class GitFileNotFound(GitError):
    """The commit is there and has no such file."""


class UnknownRevision(GitError):
    """The repository is there and has no such branch, tag or commit."""


class CommitNotOffered(GitError):
    """The server gives only the tips of its branches and tags, never a commit by its id."""


class UnexplainedFailure(GitError):
    """git failed in a way that has no sentence of its own; perhaps because our copy of the repository is damaged."""


class GitUnavailable(Unavailable):
    """The git host cannot be reached, is too slow or is failing; or this machine cannot run git now."""


class GitFailed(Exception):
    """One run of git ended badly; turned into one of the errors above by `explain`.

    `stderr` is scrubbed of secrets. `timed_out` and `too_long` say that we ended it: it passed its deadline or wrote
    more than the caller was willing to read. `ended_by` is the signal that ended it, or 0. `had_little_memory`: it
    talked to a server, and so had a limit that the machine's memory does not have.
    """

    def __init__(
        self,
        stderr: str,
        *,
        ended_by: int = 0,
        timed_out: bool = False,
        too_long: bool = False,
        had_little_memory: bool = False,
    ):
        self.stderr = scrub(stderr).strip()
        super().__init__(self.stderr)
        self.ended_by = ended_by
        self.timed_out = timed_out
        self.too_long = too_long
        self.needs_more_memory = had_little_memory and bool(_MEMORY.search(self.stderr))

    @property
    def is_passing(self) -> bool:
        """True if the machine or a deadline ended git, so that nothing is proved about the repository."""
        return bool(self.timed_out or self.ended_by in _KILLED or _MACHINE.search(self.stderr))


# What git says holds what its server has said, 64 KiB of whatever it likes: all patterns below take linear time.

# Somebody ended it; other signals mean that it crashed, as git does on a damaged pack.
_KILLED = {signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM}
_MACHINE = re.compile(
    r"No space left|Disk quota|Cannot allocate memory|Out of memory|Too many open files|Read-only file system"
    r"|Resource temporarily unavailable|Permission denied|Input/output error|unable to create thread"
    r"|exec: .{0,200}git|failed to run command",
    re.IGNORECASE,
)
# Of git here; the lines that begin with "remote:" are the server's own.
_MEMORY = re.compile(r"^(?!remote:).{0,200}(Out of memory|Cannot allocate memory)", re.IGNORECASE | re.MULTILINE)
_NETWORK = re.compile(
    r"Could not resolve|Failed to connect|Could ?n.t connect|Connection (refused|timed out|reset|was reset)"
    r"|Operation (timed out|too slow)|No route to host|Network is unreachable|early EOF|RPC failed"
    r"|unexpected disconnect|hung up unexpectedly|requested URL returned error: (5\d\d|429|408)|gnutls|SSL_|\bTLS\b"
    r"|Empty reply|Recv failure|Send failure|transfer closed|bad line length|expected flush|expected .{0,200}packet"
    r"|invalid index-pack output|unexpected end of file|HTTP/2 (stream|framing)|Received HTTP code 5\d\d from proxy",
    re.IGNORECASE,
)
# Looked at in this order: the first that matches decides. {repo} is the repository, already fit to be shown.
_REASONS = (
    (
        r"File too large",
        GitError,
        "{repo} is larger than this site accepts: one commit may not pass GIT_MAX_BYTES. "
        "Remove large files from the repository.",
    ),
    (
        r"unadvertised object|does not support shallow|Server does not allow request",
        CommitNotOffered,
        "The server of {repo} gives neither single commits nor shallow copies.",
    ),
    (r"not our ref|couldn.t find remote ref", UnknownRevision, "{repo} has no such commit, branch or tag."),
    (
        r"could not read (Username|Password)|Authentication failed|returned error: (401|403|404|410)"
        r"|repository '.{0,1000}' not found|Repository not found|Invalid username or password",
        GitError,
        "Repository {repo} was not found, or is not readable with the runner's token. Check the address; if the "
        "repository is private, ask the site's operator whether the token may read it.",
    ),
    (
        r"returned error: 30\d|unable to update url base from redirection|redirect",
        GitError,
        "{repo} has moved: its server redirects to another address, which is never followed. Use the new address.",
    ),
    (
        r"certificate|SSL peer",
        GitUnavailable,
        "The certificate of the server of {repo} is not trusted by this machine. "
        "An operator should check the machine's clock and its certificates (SSL_CERT_FILE, GIT_SSL_CAINFO).",
    ),
    (
        r"dubious ownership",
        GitError,
        "{repo} belongs to another user of this machine, and git refuses to read it. Make a copy of your own.",
    ),
    (
        r"not a git repository|does not appear to be a git repository|mismatched algorithms|unknown object format",
        GitError,
        "{repo} is not a git repository that can be read here (repositories with SHA-256 ids are not supported).",
    ),
)


def explain(failed: GitFailed, repo: str) -> GitError | GitUnavailable:
    """The error to raise for a failed run of git about `repo`, in words that say what to do."""
    name = shown(repo)
    if failed.timed_out:
        seconds = settings.GIT_TIMEOUT_SECONDS
        return GitUnavailable(f"git did not finish with {name} within {seconds} seconds.")
    if failed.too_long:
        return GitError(f"{name} answered with more than this site is willing to read.")
    if failed.needs_more_memory:
        return GitError(
            f"The server of {name} made git use more memory than this site allows, so it was given up: check the "
            "address. If the repository is an honest one, it has too many branches, tags or files."
        )
    for pattern, kind, sentence in _REASONS:
        if re.search(pattern, failed.stderr, re.IGNORECASE):
            return kind(sentence.format(repo=name))
    last_words = _last_words(failed.stderr)
    if failed.is_passing:
        return GitUnavailable(
            f"This machine could not run git for {name}{last_words}. Please tell the site's operator."
        )
    if _NETWORK.search(failed.stderr):
        return GitUnavailable(f"The server of {name} does not answer properly{last_words}.")
    return UnexplainedFailure(f"git could not read {name}{last_words}.")


def _last_words(stderr: str) -> str:
    """git's own complaint, for the end of a sentence: the last line that names an error, else the last line."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    named = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    return f" ({shown(named[-1]).rstrip('.')})" if named else ""


# People paste addresses with their password in all kinds of broken spellings: what may be one is not repeated.
_BEFORE_HOST = re.compile(r"\A([a-zA-Z+]*:/+)?.*@", re.DOTALL)
_QUERY_VALUE = re.compile(r"([?&][^=&?\s]*=)[^&\s]*")


def shown(text: str) -> str:
    """The text as it may appear in a message: one line, bounded, without secrets."""
    return plain(_QUERY_VALUE.sub(r"\1***", _BEFORE_HOST.sub(r"\1***@", scrub(text))))


def quoted(text: str) -> str:
    """A revision or path in quotes. What stands before an "@" in it is no password: `main@{1}` is shown as it is."""
    return f"'{plain(scrub(text))}'"


def plain(text: str) -> str:
    """The text on one line, bounded; for what has no secrets in it."""
    text = escape(text)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"


def scrub(text: str) -> str:
    """The text without the token in any of its spellings and without user names and passwords in addresses."""
    for secret in filter(None, (settings.PRIVATE_REPO_ACCESS_TOKEN, basic_credentials())):
        text = text.replace(secret, "***")
    return without_credentials(text)


def basic_credentials() -> str:
    """What stands after "Authorization: Basic" for the runner's token; empty without a token.

    The user name is the one that GitHub documents for tokens; other hosts ignore it.
    """
    token = settings.PRIVATE_REPO_ACCESS_TOKEN
    return base64.b64encode(f"x-access-token:{token}".encode()).decode() if token else ""
