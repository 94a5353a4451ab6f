"""Find where a request comes from: client, scheme, and whether its host is one of ours."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from consumer.http.client_address import Clients, address_of


@dataclass(frozen=True, slots=True)
class Origin:
    """`client` is an address as text; `host` as the browser asked for it, without its port."""

    client: str
    secure: bool
    host: str


@dataclass(frozen=True, slots=True)
class Origins:
    """`hosts` are names of ours."""

    clients: Clients
    hosts: Collection[str]

    def of(self, environ: Mapping[str, Any]) -> Origin:
        """The origin of a WSGI request."""
        peer = str(environ.get("REMOTE_ADDR", ""))
        secure = environ.get("wsgi.url_scheme") == "https"
        host = _name(str(environ.get("HTTP_HOST", "")))
        client = self.clients.client(environ)
        if self.clients.trusts(address_of(peer)):
            proto = str(environ.get("HTTP_X_FORWARDED_PROTO", ""))
            secure = secure or proto.rpartition(",")[2].strip().lower() == "https"
        return Origin(peer if client is None else str(client), secure, host)

    def knows(self, origin: Origin) -> bool:
        """True when the host is ours: an address, `localhost`, or a name of the settings.

        A page elsewhere whose name is made to point here (DNS rebinding) has a name, and another.
        """
        host = origin.host
        is_local = host == "localhost" or host.endswith(".localhost")
        return is_local or host in self.hosts or _is_address(host)

    def is_own(self, environ: Mapping[str, Any]) -> bool:
        """True when a browser says that a page of ours made the request, or says nothing."""
        if environ.get("HTTP_SEC_FETCH_SITE", "same-origin") not in ("same-origin", "none"):
            return False
        sender = str(environ.get("HTTP_ORIGIN", "null"))
        # Our own forms say "null" too, for our referrer policy keeps the origin from everybody.
        if sender == "null":
            return True
        try:
            return urlsplit(sender).netloc == str(environ.get("HTTP_HOST", ""))
        except ValueError:
            return False


def _name(host: str) -> str:
    """The host without its port, and without the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".").lower()


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
