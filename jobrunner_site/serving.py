"""What gunicorn is started with, and what the service manager has said about this process.

Values in, problems out, as in `checking`.
"""

import re
from collections.abc import Iterable, Mapping, MutableMapping

_PLACE = re.compile(r"unix:/[^\s]+|([a-z0-9_.-]+|\[[0-9a-f:.]+\]):\d{1,5}", re.IGNORECASE)
# What may be held by calls of rap/create (jobs/rap/creating.py), and as many for the pages.
_LEAST_THREADS = 16
# What compose.yaml (stop_grace_period), the unit (TimeoutStopSec) and the proxy (proxy_read_timeout) leave room for.
_LONGEST_CALL_SECONDS = 30


def web(values: Mapping) -> Iterable[str]:
    """What gunicorn would refuse in words of its own, or what would only show when many call."""
    if not values["WEB_BIND"]:
        yield "WEB_BIND: name at least one address, such as 127.0.0.1:8000, or unix:/run/jobrunner-web/socket."
    for place in values["WEB_BIND"]:
        if not _PLACE.fullmatch(place):
            yield f"WEB_BIND: {place!r} is neither an address with a port, such as 127.0.0.1:8000, nor unix:/path."
    if values["RAP_CREATE_TIMEOUT_SECONDS"] > _LONGEST_CALL_SECONDS:
        yield (
            f"RAP_CREATE_TIMEOUT_SECONDS: must be at most {_LONGEST_CALL_SECONDS}: whatever stops the web "
            "(compose.yaml, deploy/systemd) waits ten seconds longer for a call, and no more."
        )
    if values["RAP_API_TOKENS"] and values["WEB_THREADS"] < _LEAST_THREADS:
        yield (
            f"WEB_THREADS: must be at least {_LEAST_THREADS} with RAP_API_TOKENS: calls of rap/create hold eight, "
            "and the pages need some, too."
        )


def service_manager(environment: MutableMapping[str, str], pid: int) -> tuple[str, float]:
    """Where systemd listens ("" if nobody does), and after how many silent seconds it restarts us (0: never).

    Takes the variables out of the environment: they are for this process, and no child may speak in its name.
    """
    listens, watched = environment.pop("NOTIFY_SOCKET", ""), environment.pop("WATCHDOG_PID", str(pid))
    microseconds = environment.pop("WATCHDOG_USEC", "0")
    is_ours = listens and watched == str(pid) and microseconds.isdecimal()
    return listens, int(microseconds) / 1_000_000 if is_ours else 0.0
