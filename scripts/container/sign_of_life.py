"""Whether a service of ours lives, for Docker's health checks: exit code 0, or one sentence and 1.

`sign_of_life.py` asks the pages' own process (/livez); `sign_of_life.py run` and `… sync` read from the database when
that process was last alive; with seconds since 1970 behind that, whether since then. It is run each minute, so it reads
the settings and starts nothing else of Django.
"""

import sys
import urllib.request
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))  # the code that the service runs

# A process that hangs is told from a slow one: the sign comes each second, or each five.
MOST_SECONDS = 60
PAGES = "http://127.0.0.1:8000/livez"


def parameters(database: dict) -> dict:
    """What libpq is told: all that the address says, `sslmode` above all, or whoever answers would get the password."""
    keys = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    given = {key: database[name] for key, name in keys.items() if database.get(name)}
    options = {key: value for key, value in database.get("OPTIONS", {}).items() if key != "isolation_level"}
    return options | given | {"connect_timeout": 5}


def last_sign(name: str) -> datetime | None:
    from jobrunner_site.settings import DATABASES

    database = DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        import sqlite3

        connected, mark = sqlite3.connect(f"file:{database['NAME']}?mode=ro", uri=True, timeout=5), "?"
    else:
        import psycopg

        connected, mark = psycopg.connect(**parameters(database)), "%s"
    with closing(connected) as database:
        row = database.execute(f"SELECT at FROM jobs_heartbeat WHERE name = {mark}", (name,)).fetchone()
    if row is None:
        return None
    at = row[0] if isinstance(row[0], datetime) else datetime.fromisoformat(row[0])
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def trouble(name: str, since: float) -> str:
    """Why it does not live, or nothing."""
    if not name:
        urllib.request.urlopen(PAGES, timeout=5).close()
        return ""
    at = last_sign(name)
    if at is None:
        return f"{name} was never heard"
    if at.timestamp() < since:
        return f"{name} was not heard since it was started"
    age = (datetime.now(UTC) - at).total_seconds()
    if age < -MOST_SECONDS:
        return f"{name} was last heard {-age:.0f} s in the future: a clock was or is wrong"
    return f"{name} was last heard {age:.0f} s ago" if age > MOST_SECONDS else ""


if __name__ == "__main__":
    try:
        found = trouble(*sys.argv[1:2] or [""], since=float(*sys.argv[2:3] or [0]))
    except Exception as error:
        found = f"cannot tell: {type(error).__name__}: {error}"
    if found:
        sys.exit(found)
