"""Whose repositories this site reads: which hosts, and which organisations on them.

Everybody can make a repository on a public git host, so an address alone says nothing about who wrote or reviewed the
code behind it. The settings name the organisations whose members may; reusable actions have one of their own.
"""

from urllib.parse import unquote, urlsplit

from django.conf import settings

from jobs.git.errors import quoted
from jobs.text import listed

GITHUB = "github.com"
_EVERYBODY = "*"


def refusal_of_study(address: str, host: str, path: str) -> str:
    """Why no study may come from there, for its author; "" if it may.

    `address` is fit to be shown, `host` is "host" or "host:port" and `path` is as it stands in the address.
    """
    if host not in settings.ALLOWED_GIT_HOSTS:
        what_to_do = _what_to_do_about_host(host, path)
        return f"Repository '{address}' is on {host}, which this site does not read. {what_to_do}"
    organisation, *names = _steps(path)
    allowed = [name.lower() for name in settings.ALLOWED_GITHUB_ORGS]
    if _EVERYBODY in allowed or organisation.lower() in allowed:
        if host == GITHUB and not names:  # other hosts may have repositories at their top
            return f"'{address}' is an organisation and no repository: add the repository's name."
        return ""
    return (
        f"Repository '{address}' belongs to {quoted(organisation)}, whose code this site does not run: studies must be "
        f"in {_one_of('organisation', settings.ALLOWED_GITHUB_ORGS)}. Move the study there, or ask the site's operator "
        "whether the organisation can be added (ALLOWED_GITHUB_ORGS)."
    )


def is_of_actions(protocol: str, host: str, path: str) -> bool:
    """Whether the repository lies below ACTIONS_ORG_URL, where reusable actions come from."""
    organisation = urlsplit(settings.ACTIONS_ORG_URL)
    above = _steps(organisation.path)
    steps = _steps(path)
    is_there = (protocol, host) == (organisation.scheme, organisation.netloc.lower())
    return is_there and steps[: len(above)] == above and len(steps) > len(above)


def server_for(host: str) -> str:
    """The "host" or "host:port" that git really connects to for a repository of that host."""
    return settings.GITHUB_PROXY_DOMAIN or host if host == GITHUB else host


def _steps(path: str) -> list[str]:
    """An encoded slash parts nothing: no server takes `opensafely%2Fx` for a folder of opensafely."""
    return [unquote(step) for step in path.split("/") if step]


def _what_to_do_about_host(host: str, path: str) -> str:
    if host == settings.GITHUB_PROXY_DOMAIN:
        return f"Write https://{GITHUB}{path}: this site's proxy is used without being named."
    return (
        f"Studies must be on {_one_of('host', settings.ALLOWED_GIT_HOSTS)}. Move the study there, or ask the site's "
        "operator whether the host can be added (ALLOWED_GIT_HOSTS)."
    )


def _one_of(what: str, names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"one of these {what}s: {listed(names, most=20)}"
