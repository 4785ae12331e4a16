"""PostgreSQL's own tools, for copies of the database: pg_dump makes one, pg_restore says whether it can be read.

No password stands in a command line, where everybody on the machine could read it: it goes by the environment.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from django.db import connection

# Copying takes about a minute for ten gigabytes; a chore may take twelve (`jobs.models.chore_run.LONGEST`).
SECONDS = 600
_TOOLS = "postgresql-client"
# How a connection that hangs is noticed; a copy ends after SECONDS anyway.
_NOT_NEEDED = ("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")


class CannotDump(Exception):
    """The message says why, and what to do."""


def why_not() -> str:
    """Why no copy can be made here; empty if one can."""
    if shutil.which("pg_dump") and shutil.which("pg_restore"):
        return ""
    return (
        f"pg_dump is not installed here: install {_TOOLS} of the server's version, or let the site's own backups of "
        "PostgreSQL do it"
    )


def dump(path: Path) -> None:
    """Everything as it was at one moment, into a new file that nobody else may read. Raises CannotDump."""
    if reason := why_not():
        raise CannotDump(f"{reason[0].upper()}{reason[1:]}.")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    # --no-owner: who restores it may be called otherwise.
    _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={path}")
    listed = _run("pg_restore", "--list", str(path))
    if "TABLE DATA public jobs_job " not in listed and not re.search(r"TABLE DATA \S+ jobs_job ", listed):
        raise CannotDump("The copy holds no jobs: is DATABASE_URL's user allowed to read every table?")


def size() -> int:
    """Of the whole database, in bytes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return cursor.fetchone()[0]


def server_version() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return cursor.fetchone()[0]


def _run(program: str, *arguments: str) -> str:
    try:
        done = subprocess.run(
            [shutil.which(program) or program, *arguments], env=_environment(), capture_output=True, text=True,
            errors="replace", check=False, timeout=SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CannotDump(f"{program} has taken more than {SECONDS // 60} minutes and was ended.") from None
    if done.returncode:
        raise CannotDump(f"{program} failed: {_shortened(done.stderr)}.{_what_to_do(done.stderr)}")
    return done.stdout


def _environment() -> dict[str, str]:
    """All that the address says, by libpq's own variables. Raises CannotDump for what has none."""
    from psycopg import pq  # a site on SQLite does without

    said, own = connection.get_connection_params(), {"application_name": "jobrunner copy"}
    variables = {option.keyword.decode(): option.envvar for option in pq.Conninfo.get_defaults()}
    given = {name: str(value) for name, value in {**said, **own}.items() if name in variables and value is not None}
    if untold := sorted(name for name in given if not variables[name] and name not in _NOT_NEEDED):
        what = f"DATABASE_URL has {', '.join(untold)}, which pg_dump cannot be told"
        raise CannotDump(f"{what}: let the site's own backups of PostgreSQL do it.")
    found = {variables[name].decode(): value for name, value in given.items() if variables[name]}
    return {"PATH": os.defpath, "HOME": str(Path.home()), "LC_ALL": "C.UTF-8", **found}


def _shortened(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " ".join(lines)[:500].rstrip(".") or "it does not say why"


def _what_to_do(said: str) -> str:
    if "version mismatch" in said:
        return f" Install the {_TOOLS} of the server's version."
    return ""
