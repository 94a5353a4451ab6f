"""Read where things are on the network: what to listen on, whom to ask, whom to trust."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from urllib.parse import urlsplit

from config.lists import texts

HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})")


def listen(value: str) -> str:
    """`host:port`, an IPv6 address in brackets."""
    host, _, port = value.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        IPv6Address(host[1:-1])
    elif not HOST.fullmatch(host):
        raise ValueError
    if not re.fullmatch(r"\d{1,5}", port, re.ASCII) or int(port) > 65535:
        raise ValueError
    return f"{host}:{int(port)}"


def web_address(value: str | None) -> str | None:
    """A base URL. One with a password in it is refused: it would be shown like any setting."""
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError
    _ = parts.port  # raises ValueError on one that is none
    return value.rstrip("/")


def proxy_address(value: str) -> str:
    """`http://[user:password@]host[:port]`, also of one that was written without its scheme; raises
    ValueError for kinds that we do not speak."""
    address = value.strip() if "://" in value else f"http://{value.strip()}"
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(parts.hostname or ""):
        raise ValueError
    _ = parts.port  # raises ValueError on one that is none
    return address.rstrip("/")


def networks(value: object) -> object:
    """Addresses and networks: `127.0.0.1,10.0.0.0/8,::1`; a TOML list of them as well."""
    return tuple(ip_network(str(each)) for each in texts(value))


def host_names(value: object) -> object:
    """Host names without ports: `console.example.com,localhost`."""
    names = texts(value)
    if not all(HOST.fullmatch(str(name)) for name in names):
        raise ValueError
    return tuple(str(name).lower() for name in names)


def show_networks(values: tuple[IPv4Network | IPv6Network, ...]) -> str:
    return ",".join(
        str(each.network_address if each.num_addresses == 1 else each) for each in values
    )
