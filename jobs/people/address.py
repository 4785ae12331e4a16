"""From where a call has come: for the audit, for lock-outs, and for whose word is believed.

A header can be written by anybody. It counts only as far as each proxy on the way, from the nearest one on, is named in
the settings.
"""

import ipaddress
from collections.abc import Iterable

from django.conf import settings
from django.http import HttpRequest

# The nearest sender through a Unix socket has no address; the settings call it "unix", and None stands for it.
Network = ipaddress.IPv4Network | ipaddress.IPv6Network | None
MOST_HOPS = 20


def is_from(request: HttpRequest, networks: Iterable[Network]) -> bool:
    """Whether the nearest sender, whom no header can disguise, is one of these."""
    return _is_in(request.META.get("REMOTE_ADDR", ""), networks)


def client_address(request: HttpRequest) -> str:
    """The address of the person's machine, as far as it is known; empty if it is not."""
    address = request.META.get("REMOTE_ADDR", "")
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    for hop in reversed(hops[-MOST_HOPS:]):
        if not _is_in(address, settings.TRUSTED_PROXIES):
            break
        found = _parsed(hop.strip())
        if found is None:
            break
        address = str(found)
    found = _parsed(address)
    return str(found) if found else ""


def _is_in(address: str, networks: Iterable[Network]) -> bool:
    if not address:
        return None in networks
    found = _parsed(address)
    return found is not None and any(network is not None and found in network for network in networks)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket for both families shows IPv4 callers so.
    return (isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped) or found
