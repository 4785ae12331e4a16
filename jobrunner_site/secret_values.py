"""Which texts no log may ever show: the values of this site's secrets, in the spellings in which they travel."""

from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit

# Shorter ones would star out ordinary words; a site that has such secrets has other troubles.
LEAST_LETTERS = 6
# What libpq takes behind the `?` of an address.
_SECRET_FIELDS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")


def secrets_in(*values: str, addresses: Iterable[str] = ()) -> tuple[str, ...]:
    """The values themselves, and the passwords in the addresses; the longest first, as one may be a part of another."""
    found = {secret for value in values for secret in _spellings(value)}
    found |= {secret for address in addresses for secret in _passwords(address)}
    return tuple(sorted((secret for secret in found if len(secret) >= LEAST_LETTERS), key=len, reverse=True))


def _spellings(value: str) -> Iterator[str]:
    """As it is, and as `repr` shows one with backslashes or line breaks, which is how errors quote it."""
    yield value
    yield repr(value)[1:-1]


def _passwords(address: str) -> Iterator[str]:
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    for name, value in (field.partition("=")[::2] for field in parts.query.split("&")):
        if unquote(name) in _SECRET_FIELDS:
            yield from _spellings(value)
            yield from _spellings(unquote(value))
    login, has_login, _ = parts.netloc.rpartition("@")
    password = login.partition(":")[2]
    if has_login and password:
        yield from _spellings(password)
        yield from _spellings(unquote(password))
