"""The client that a request comes from, and who is believed about that."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from consumer.http.client_address import Clients

PROXIES = (ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("remote", "forwarded", "peer"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("127.0.0.1", "1.1.1.1, 198.51.100.7 , 10.1.2.3:80", "198.51.100.7"),
        ("127.0.0.1", "10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.7, nonsense", "127.0.0.1"),
        ("10.0.0.1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("10.0.0.1", "[2001:db8:1:2::9]:4711", "2001:db8:1:2::/64"),
        ("fd00::1", "[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
        ("::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("::ffff:192.0.2.1", "", "192.0.2.1"),
        ("fe80::1%eth0", "", "fe80::/64"),
        ("", "", ""),
        ("a socket", "198.51.100.7", ""),
    ],
)
def test_the_peer_is_the_address_behind_trusted_proxies(
    remote: str, forwarded: str, peer: str
) -> None:
    environ = {"REMOTE_ADDR": remote, "HTTP_X_FORWARDED_FOR": forwarded}

    assert Clients(PROXIES).peer(environ) == peer


def test_a_list_without_end_is_read_from_its_end() -> None:
    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "9.9.9.9," * 10**6 + "192.0.2.5"}

    assert Clients(PROXIES).peer(environ) == "192.0.2.5"
