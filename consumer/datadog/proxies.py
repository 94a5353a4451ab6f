"""Choose the proxy on the way to Datadog, whose client heeds no setting of proxies by itself."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3


def is_exempt(url: str, no_proxy: str) -> bool:
    """Whether `NO_PROXY` names the host of a URL: by itself, with its port, by a domain it is in
    (`.example.com` or `example.com`), as an address in a network, or as `*`."""
    parts = urlsplit(url)
    host, port = (parts.hostname or "").lower(), parts.port or 443
    for entry in re.split(r"[,\s]+", no_proxy.lower()):
        name = entry.removeprefix("*").strip("[]").lstrip(".")
        if entry == "*" or name in (host, f"{host}:{port}", f"[{host}]:{port}"):
            return True
        if name and (host.endswith(f".{name}") or _is_in(host, name)):
            return True
    return False


def _is_in(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


def pool_through(proxy: str | None, **options: Any) -> urllib3.PoolManager:
    """A pool that goes through `proxy`, `http://[user:password@]host:port`; None: straight."""
    if proxy is None:
        return urllib3.PoolManager(**options)
    scheme, _, rest = proxy.partition("://")
    login, _, place = rest.rpartition("@")
    headers = urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else None
    return urllib3.ProxyManager(f"{scheme}://{place}", proxy_headers=headers, **options)
