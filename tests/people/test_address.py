"""Where a call came from, as far as somebody who may be believed has said so."""

import ipaddress

import pytest

from jobs.people.address import client_address, is_from

PROXIES = (ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("fd00::/8"), None)


@pytest.mark.parametrize(
    ("sender", "forwarded", "address"),
    [
        ("192.0.2.7", "", "192.0.2.7"),
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("", "198.51.100.1", "198.51.100.1"),
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("nonsense", "", ""),
    ],
)
def test_the_address_is_the_nearest_that_no_trusted_proxy_has(rf, settings, sender, forwarded, address):
    settings.TRUSTED_PROXIES = PROXIES
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert client_address(rf.get("/", headers=headers, REMOTE_ADDR=sender)) == address


def test_without_trusted_proxies_no_header_counts(rf):
    request = rf.get("/", headers={"X-Forwarded-For": "198.51.100.1"}, REMOTE_ADDR="10.0.0.1")
    assert client_address(request) == "10.0.0.1"


def test_a_long_list_of_hops_is_read_only_so_far(rf, settings):
    settings.TRUSTED_PROXIES = PROXIES
    request = rf.get("/", headers={"X-Forwarded-For": ", ".join(["10.0.0.1"] * 100_000)}, REMOTE_ADDR="10.0.0.1")
    assert client_address(request) == "10.0.0.1"


def test_a_unix_socket_is_trusted_only_if_it_is_named(rf):
    request = rf.get("/", REMOTE_ADDR="")
    assert is_from(request, PROXIES) and not is_from(request, PROXIES[:2])
