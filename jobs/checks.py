"""Django's checks of an installation: `manage.py check --deploy`, and the log of gunicorn when it starts."""

import contextlib
import os
import re
from difflib import get_close_matches
from pathlib import Path

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.management import CommandError

from jobs.schema import check_database

# How alike two names are, from 0 to 1, of which one is a slip: MAX_WORKRES, JOB_SERVER_TOKENS.
_ALMOST = 0.88
_NAMES = re.compile(r"^\s*(?:export\s+)?(\w+)\s*=", re.MULTILINE)
# A secret that stands in a file of settings itself.
_SECRET = re.compile(
    r"^\s*(?:export\s+)?(SECRET_KEY|\w+_(TOKENS?|PASSWORD|SECRET|LICENSE)|NOTIFY_WEBHOOK_URL)\s*=\s*[\"']?[^\s\"'#]"
    r"|=\s*\S+://[^\s/:@]*:[^\s/@]+@",
    re.MULTILINE,
)


def static_files_are_collected(**_) -> list[CheckMessage]:
    """Without them every page of a production server is an error 500."""
    if settings.DEBUG or (Path(settings.STATIC_ROOT) / "staticfiles.json").is_file():
        return []
    return [
        Error(
            f"The pages' static files have not been collected in {settings.STATIC_ROOT}: each page will fail.",
            hint="Run manage.py collectstatic (or make static), also after each update.",
            id="jobs.E001",
        )
    ]


def addresses_are_told_apart(**_) -> list[CheckMessage]:
    """Behind a proxy everybody would share one address: in the audit, and when somebody guesses passwords."""
    if not settings.SECURE_PROXY_SSL_HEADER or settings.TRUSTED_PROXIES:
        return []
    return [
        Warning(
            "BEHIND_TLS_PROXY is set but TRUSTED_PROXIES is not: everybody seems to come from the proxy's address.",
            hint="Name the proxy: TRUSTED_PROXIES=127.0.0.1, or unix for a Unix socket.",
            id="jobs.W001",
        )
    ]


def secrets_are_nobody_elses(**_) -> list[CheckMessage]:
    """A file of a secret that everybody on the machine can read."""
    found = [path for path in settings.SECRET_FILES if _is_everybodys(path)]
    if _is_everybodys(settings.DOTENV_FILE) and _SECRET.search(Path(settings.DOTENV_FILE).read_text(errors="replace")):
        found.append(settings.DOTENV_FILE)
    return [
        Warning(
            f"{path} holds a secret, and every user of this machine can read it.",
            hint=f"chmod o= {path}, or move the secret to a file of its own (X_FILE; in containers secrets/X). Whoever "
            "may have read it has it: think of making a new one.",
            id="jobs.W002",
        )
        for path in found
    ]


def _is_everybodys(path: str) -> bool:
    """Files in containers are not asked for here: there nobody else is."""
    try:
        return bool(path) and bool(Path(path).stat().st_mode & 0o007) and Path(path).is_file()
    except OSError:
        return False


def settings_are_spelt_right(**_) -> list[CheckMessage]:
    """A name that nothing reads changes nothing, and nobody says so. Others' names (compose's) are in the file, too."""
    written = []
    with contextlib.suppress(OSError):  # what cannot be looked at is told elsewhere, or is not for this process
        names = _NAMES.findall(Path(settings.DOTENV_FILE or os.devnull).read_text(errors="replace"))
        written += [(name, settings.DOTENV_FILE) for name in names]
    with contextlib.suppress(OSError):
        names = sorted(path.name for path in Path(settings.SECRETS_DIR).iterdir()) if settings.SECRETS_DIR else []
        written += [(name, settings.SECRETS_DIR) for name in names]
    return [
        Warning(
            f"{name} in {place} is no setting, and nothing reads it.",
            hint=f"Is {meant[0]} meant? dotenv-sample has all names.",
            id="jobs.W003",
        )
        for name, place in written
        if name not in settings.SETTINGS_KNOWN
        and (meant := get_close_matches(name, settings.SETTINGS_KNOWN, n=1, cutoff=_ALMOST))
    ]


def database_is_not_lost(databases=None, **_) -> list[CheckMessage]:
    """`migrate` asks this before it makes tables: an empty database beside used folders is a lost one."""
    if databases is None:
        return []
    try:
        check_database()
    except CommandError as error:
        if "is empty" in str(error):
            return [Error(str(error), id="jobs.E002")]
    return []
