"""Find the client that a request comes from, where proxies stand in between."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_PEER_BITS = 64
# No list of addresses that proxies make is longer.
_MAX_FORWARDED = 1024


class Clients:
    """Addresses of clients: `proxies` are believed in X-Forwarded-For, and nobody else is."""

    def __init__(self, proxies: Collection[Network]) -> None:
        self._proxies = tuple(proxies)
        # Senders are few, and most requests of theirs alike.
        self._peer = lru_cache(maxsize=1024)(self._find)

    def peer(self, environ: Mapping[str, Any]) -> str:
        """The address of a WSGI request's client, of IPv6 its /64 network; "" where it has none."""
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        return self._peer(environ.get("REMOTE_ADDR", ""), forwarded[-_MAX_FORWARDED:])

    def client(self, environ: Mapping[str, Any]) -> Address | None:
        """The address of a WSGI request's client; None where it has none."""
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        return self._client(environ.get("REMOTE_ADDR", ""), forwarded[-_MAX_FORWARDED:])

    def trusts(self, address: Address | None) -> bool:
        """True for the address of a proxy which is believed."""
        return address is not None and any(
            address in network for network in self._proxies if network.version == address.version
        )

    def _find(self, remote: str, forwarded: str) -> str:
        client = self._client(remote, forwarded)
        if client is None or client.version == 4:
            return "" if client is None else str(client)
        return str(IPv6Network((client, _PEER_BITS), strict=False))

    def _client(self, remote: str, forwarded: str) -> Address | None:
        client = address_of(remote)
        # From the right: what stands further left, anybody could have written.
        for claimed in reversed(forwarded.split(",")):
            before = address_of(claimed)
            if before is None or not self.trusts(client):
                break
            client = before
        return client


def address_of(text: str) -> Address | None:
    """The address in a text, which may have brackets and a port; None where it has none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
