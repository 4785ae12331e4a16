"""From what the engine says of a container's consumption to a `Usage`: pure translation of its JSON (both cgroups)."""

from collections.abc import Mapping
from datetime import datetime

from runner.executors.base import Usage

_NEVER = "0001-01-01T00:00:00Z"
# What the kernel may take back at any time is no memory that the job needs. The names of cgroups 1 and 2.
_CACHE = ("total_inactive_file", "inactive_file")


def usage_of(answer: Mapping) -> Usage | None:
    """The answer of GET /containers/<name>/stats; None for a container that does not run (any more)."""
    memory = answer["memory_stats"]
    if answer["read"] == _NEVER or "usage" not in memory:
        return None
    details = memory.get("stats") or {}
    cache = next((details[name] for name in _CACHE if name in details), 0)
    return Usage(
        at=datetime.fromisoformat(answer["read"]),
        cpu_seconds=int(answer["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9,
        memory_bytes=max(0, int(memory["usage"]) - int(cache)),
    )
