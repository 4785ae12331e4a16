"""DATABASE_URL as Django's description of our own database, or a sentence that says why it cannot be one.

No sentence shows the address: it may hold a password.
"""

from pathlib import Path

import dj_database_url

# IMMEDIATE: a deferred transaction that reads and then writes fails at once when another process wrote meanwhile.
# FULL: a status that was acknowledged survives a power cut (measured: NORMAL lost 6 % of them).
_SQLITE = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON",
}
# What libpq is told; DATABASE_URL may say otherwise (?connect_timeout=3). A server that vanishes without a word, or a
# firewall that forgets a connection, is noticed within a minute on both sides.
_CONNECTING = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    # All our processes write; after a failover the address may still lead to the old server.
    "target_session_attrs": "read-write",
}
_SIGNS = "DATABASE_URL: is no address; signs such as @ and / in a password are written %40 and %2F (not shown)."
_PARTS = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
# As long as SQLite waits for whoever writes. Who falls asleep in the middle of a transaction holds up everybody else.
_OF_THE_SESSION = {
    "lock_timeout": "20s",
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
# A new connection costs the server a process; to SQLite it costs nothing, and a replaced file is noticed.
_KEEP_SECONDS = 60


def database(problems: list[str], url: str) -> dict:
    """Django's description; empty if something joined the problems."""
    try:
        found = dj_database_url.parse(url, conn_health_checks=True)
        kind = found["ENGINE"].rpartition(".")[2]
    except (ValueError, KeyError):
        kind = "unknown"
    if kind == "sqlite3":
        return _sqlite(problems, found)
    if kind == "postgresql":
        return _postgresql(problems, found)
    if url.startswith("postgres"):
        problems.append(_SIGNS)
        return {}
    problems.append(
        "DATABASE_URL: must begin with sqlite:/// or postgresql:// (its value may hold a password: not shown)."
    )
    return {}


def _sqlite(problems: list[str], found: dict) -> dict:
    if ":memory:" in str(found["NAME"]) or not found["NAME"]:
        problems.append("DATABASE_URL: names no file, so everything would be lost: use sqlite:////path/to/db.sqlite3.")
    elif not Path(found["NAME"]).is_absolute():
        problems.append("DATABASE_URL: needs a full path (sqlite:////srv/…): each process may start elsewhere.")
    else:
        return found | {"OPTIONS": dict(_SQLITE)}
    return {}


def _postgresql(problems: list[str], found: dict) -> dict:
    given = dict(found.get("OPTIONS", {}))
    # libpq takes these behind the `?`, too, where they win; here they have one place, which everybody looks at.
    found |= {part: given.pop(name) for name, part in _PARTS.items() if given.get(name)}
    if not found["NAME"]:
        problems.append("DATABASE_URL: names no database: postgresql://USER:PASSWORD@HOST/DATABASE (not shown).")
        return {}
    if set("@/") & set(str(found["NAME"])):
        problems.append(_SIGNS)
        return {}
    from psycopg import IsolationLevel  # a site on SQLite does without

    session = " ".join(f"-c {name}={value}" for name, value in _OF_THE_SESSION.items())
    # Given last, so that what the address says wins.
    options = _CONNECTING | given | {"options": f"{session} {given.get('options', '')}".strip()}
    # Each statement has to see what was committed before it, whatever the server's default is: a transaction reads
    # after it has waited for its turn (`jobrunner_site.postgresql`).
    options["isolation_level"] = IsolationLevel.READ_COMMITTED
    return found | {"ENGINE": "jobrunner_site.postgresql", "CONN_MAX_AGE": _KEEP_SECONDS, "OPTIONS": options}
