"""What is wrong with the settings that say whom to tell of what: sentences for the one message, as in `checking`."""

import re
import ssl
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

KINDS = ("failed", "cut-off", "stuck", "disk", "problem", "storage", "chore")
_EMAIL = re.compile(r"[^\s@,;<>\"]+@[^\s@,;<>\"]+")
_ADDRESS = re.compile(r"https?://[^\s/@]+(/\S*)?")
_PROXY = re.compile(r"https?://([^\s/?#@]+@)?[^\s/?#@]+/?", re.IGNORECASE)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def notices(values: Mapping) -> Iterable[str]:
    for kind in values["NOTIFY_ABOUT"]:
        if kind not in KINDS:
            yield f"NOTIFY_ABOUT: {kind!r} is none of {', '.join(KINDS)}."
    for address in values["NOTIFY_EMAILS"]:
        if not _EMAIL.fullmatch(address):
            yield f"NOTIFY_EMAILS: {address!r} is no address such as operators@example.org."
    if values["NOTIFY_EMAILS"] and not _EMAIL.fullmatch(values["DEFAULT_FROM_EMAIL"]):
        yield "EMAIL_FROM: name the sender, such as jobrunner@example.org: mail servers refuse mail of nobody."
    if values["EMAIL_USE_TLS"] and values["EMAIL_USE_SSL"]:
        yield "EMAIL_USE_TLS, EMAIL_USE_SSL: set one of them, not both."
    yield from _webhook(values)
    dashboard = values["DASHBOARD_URL"]
    if dashboard and not _ADDRESS.fullmatch(dashboard):
        yield "DASHBOARD_URL: must be the https:// address of the dashboard, as operators open it."


def _webhook(values: Mapping) -> Iterable[str]:
    """The address itself is mostly the secret, so it is not shown."""
    address, proxy = values["NOTIFY_WEBHOOK_URL"], values["NOTIFY_WEBHOOK_PROXY"]
    if address and not _ADDRESS.fullmatch(address):
        yield "NOTIFY_WEBHOOK_URL: must be an https:// address without user name (its value is not shown)."
    elif address.startswith("http://") and urlsplit(address).hostname not in _LOOPBACK and values["PRODUCTION"]:
        yield "NOTIFY_WEBHOOK_URL: http:// would show it to everybody on the way; production needs https://."
    if proxy and not _PROXY.fullmatch(proxy):
        yield "NOTIFY_WEBHOOK_PROXY: must be the address of a proxy, such as http://proxy.example.org:3128 (not shown)."
    try:
        if values["NOTIFY_WEBHOOK_CA_FILE"]:
            ssl.create_default_context(cafile=values["NOTIFY_WEBHOOK_CA_FILE"])
    except OSError as error:
        yield f"NOTIFY_WEBHOOK_CA_FILE: holds no certificates that can be read ({error.strerror or error})."
