"""Where studies come from: is there a git, do the hosts answer, may we read the study that was asked for last?"""

import socket
import subprocess
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings

from jobs import git
from jobs.doctor import BAD, OFF, OK, WARN, Finding
from jobs.errors import JobError, Unavailable
from jobs.git.sources import server_for
from jobs.models import JobRequest

_CONNECT_SECONDS = 5.0
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


def examine_sources() -> Iterator[Finding]:
    try:
        said = subprocess.run(["git", "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("git", BAD, f"cannot be run: {error}", "Install git.")
        return
    yield Finding("git", OK, said.strip())
    if settings.GIT_PROXY:
        yield _answers("git proxy", settings.GIT_PROXY)
    else:
        for host in settings.ALLOWED_GIT_HOSTS:
            yield _answers(f"git host {host}", f"https://{server_for(host)}")
    yield _last_study()


def _answers(name: str, address: str) -> Finding:
    """Whether somebody listens there. The address may hold a password, so it is not shown."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443)
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        what = "See whether this machine may reach it: firewall, name server, GIT_PROXY, GITHUB_PROXY_DOMAIN."
        return Finding(name, BAD, f"{host}:{port} does not answer: {error.strerror or error}", what)
    return Finding(name, OK, f"{host}:{port} answers")


def _last_study() -> Finding:
    name = "The last study"
    request = JobRequest.objects.order_by("-pk").first()
    if request is None:
        return Finding(name, OFF, "nothing was asked for yet")
    try:
        git.resolve(request.repo_url, request.branch or "HEAD")
    except Unavailable as error:
        return Finding(name, BAD, str(error), "Requests wait until it answers; see whether git can reach it.")
    except JobError as error:
        return Finding(
            name, WARN, str(error), "If it should be readable: see PRIVATE_REPO_ACCESS_TOKEN, GIT_TOKEN_HOSTS."
        )
    return Finding(name, OK, f"{request.repo_url} can be read")
