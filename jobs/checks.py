"""Django's checks of an installation: `manage.py check --deploy`, and the log of gunicorn when it starts."""

import re
from pathlib import Path

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.management import CommandError

from jobs.schema import check_database

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
            hint=f"chmod o= {path}; whoever may have read it has it: think of making a new one.",
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
