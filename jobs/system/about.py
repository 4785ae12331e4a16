"""Versions and settings, for whoever has to tell another site's operators what runs here. Secrets are stars."""

import platform
import re
import sqlite3
from importlib import metadata
from pathlib import Path

from django.conf import settings
from django.db import connection

from jobrunner_site.debug_pages import SecretsHidden
from jobs.version import version

_LIBRARIES = (
    "Django",
    "docker",
    "requests",
    "django-htmx",
    "django-ninja",
    "whitenoise",
    "gunicorn",
    "psycopg",
    "ruamel.yaml",
)
# Long, and of no use to whoever looks.
_LEFT_OUT = ("DATABASES", "LOGGING", "STORAGES")
_USER_IN_ADDRESS = re.compile(r"(?<=://)[^/\s'\"]*@")
_MOST_TEXT = 300


def versions() -> list[tuple[str, str]]:
    """Name and version."""
    found = [("job runner", version()), ("Python", platform.python_version()), _database()]
    for library in _LIBRARIES:
        try:
            found.append((library, metadata.version(library)))
        except metadata.PackageNotFoundError:
            continue
    return found


def _database() -> tuple[str, str]:
    if connection.vendor == "postgresql":
        connection.ensure_connection()
        return "PostgreSQL", connection.connection.info.parameter_status("server_version") or "unknown"
    return "SQLite", sqlite3.sqlite_version


def shown_settings() -> list[tuple[str, str]]:
    """Name and value of what this site has set, as Django's debug pages would hide it, and more: see `_text`."""
    safe = SecretsHidden().get_safe_settings()
    module = set(_names_in_settings())
    return [(name, _text(safe[name])) for name in sorted(module & safe.keys()) if name not in _LEFT_OUT]


def _names_in_settings() -> list[str]:
    """Those that jobrunner_site/settings.py itself gives; what Django has beside them is nobody's choice."""
    source = Path(settings.BASE_DIR, "jobrunner_site", "settings.py").read_text(encoding="utf-8")
    return re.findall(r"^([A-Z][A-Z0-9_]+)(?:, [A-Z_]+)* =", source, re.MULTILINE)


def _text(value: object) -> str:
    """No address keeps the user and password in front of its host."""
    return _USER_IN_ADDRESS.sub("***@", str(value))[:_MOST_TEXT]
