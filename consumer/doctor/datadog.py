"""Ask Datadog whether it knows the API key, where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import urllib3

from consumer.doctor.check import Check, Target
from consumer.monitoring.datadog.transport import pool_through
from consumer.runtime.service_options import datadog_proxy, datadog_url

NAME = "Datadog"


def examine(target: Target) -> Iterator[Check]:
    key = target.settings.dd_api_key
    if key is None:
        yield Check(
            NAME, "skip", "DD_API_KEY is not set: metrics are at /metrics, and in the log at debug"
        )
        return
    base, proxy = datadog_url(target.settings), datadog_proxy(target.settings)
    yield validate(base, key.get_secret_value(), target.timeout, proxy)


def validate(base: str, key: str, timeout: float, proxy: str | None = None) -> Check:
    """One GET of /api/v1/validate at `base`, through the proxy if any; a redirect is not
    followed, for it would carry the key to another host."""
    where = base.split("://", 1)[-1]
    if proxy is not None:
        where += f" through the proxy {proxy.rpartition('@')[2].rpartition('/')[2]}"
    try:
        with pool_through(proxy, timeout=urllib3.Timeout(total=timeout), retries=False) as pool:
            reply = pool.request(
                "GET",
                f"{base}/api/v1/validate",
                headers={"DD-API-KEY": key.strip()},
                redirect=False,
                preload_content=False,
            )
            status = reply.status
            reply.close()
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        return Check(
            NAME,
            "warn",
            f"{where} cannot be reached ({type(error).__name__})",
            "check DD_SITE or DD_URL, DD_PROXY_HTTPS, DNS and firewall; events are taken all the"
            " same",
        )
    if status == 200:
        return Check(NAME, "ok", f"{where} knows the API key")
    if status in (401, 403):
        return Check(
            NAME,
            "fail",
            f"{where} does not know the API key",
            "check DD_API_KEY and that DD_SITE is the site of your organisation (an API key, not"
            " an application key)",
        )
    return Check(NAME, "warn", f"{where} answers {status}", "check DD_SITE or DD_URL, try again")
