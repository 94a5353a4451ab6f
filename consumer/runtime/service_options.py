"""Settings in the words of the parts that only the whole service has: its server, reports, jobs."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version

from config.loading import Settings
from config.sources import TOKEN_PATH, SourceSettings
from config.subjects import ALL
from config.value_parsers import proxy_address
from consumer.dead_letters.conditions import ConfiguredConditions
from consumer.http.server.server import MOST_ON_WINDOWS, ServerOptions
from consumer.http.webhook import routes_of
from consumer.mongodb.retention import Retention
from consumer.monitoring.datadog.points import Common, tags
from consumer.monitoring.datadog.replies import Account, is_exempt
from consumer.runtime.settings_map import (
    one_subject,
    schema_policy,
    shared_secrets,
    signature_scheme,
)


def dead_letter_retention(settings: Settings) -> timedelta:
    """The time for which dead letters that have ended are kept."""
    return timedelta(days=settings.cxone_dead_letter_retention_days)


def retention(settings: Settings) -> Retention:
    """The ages at which MongoDB deletes by itself."""
    return Retention(
        events=settings.cxone_retention_days,
        audit=settings.cxone_audit_retention_days,
        dead_letters=dead_letter_retention(settings),
    )


def configured_conditions(settings: Settings) -> ConfiguredConditions:
    """The part of the settings for which dead letters wait: one that changes wakes them."""
    secrets = (secret.key for secret in shared_secrets(settings.main))
    others = sorted(settings.sources.items())
    accepting = (
        settings.cxone_id_field,
        settings.cxone_type_field,
        settings.cxone_store_max_depth,
        settings.cxone_dedupe,
        settings.cxone_schema_scope,
        schema_policy(settings).general.contract,
        # What is masked changes nothing of what can be stored.
        sorted((name, replace(settings.rules_for(name), redact=())) for name in settings.subjects),
        # Of an installation without them the text stays what it was.
        *_holding_breaks(settings),
        *((name, each.id, each.type, each.subject_prefix) for name, each in others),
    )
    return ConfiguredConditions(
        signing=(
            repr(signature_scheme(settings.main)).encode(),
            *secrets,
            # Of an installation that does not say so the bytes stay what they were.
            *(() if settings.cxone_proof == "hmac" else (settings.cxone_proof.encode(),)),
            *(part for name, source in others for part in _signing(name, source)),
        ),
        settings=repr(accepting),
        one_subject=one_subject(settings),
    )


def _holding_breaks(settings: Settings) -> Iterator[tuple[str, str]]:
    """The subjects whose contract holds what breaks a reader."""
    for name in (ALL, *sorted(settings.subjects)):
        if settings.rules_for(name).on_reader_break == "hold":
            yield name, "on_reader_break"


def _signing(name: str, source: SourceSettings) -> Iterator[bytes]:
    yield repr((name, source.proof, source.user, signature_scheme(source))).encode()
    yield from (secret.key for secret in shared_secrets(source))


def server_options(settings: Settings) -> ServerOptions:
    """Bounds and times of the HTTP server."""
    connections = settings.cxone_max_connections
    if sys.platform == "win32" and "cxone_max_connections" not in settings.model_fields_set:
        # Who asked for no number need not be warned at each start that Windows has fewer.
        connections = MOST_ON_WINDOWS
    return ServerOptions(
        listen=settings.cxone_listen,
        threads=settings.cxone_threads,
        max_body_bytes=settings.cxone_max_body_bytes,
        # Senders wait for their tokens as they wait for their answers.
        delivery_paths=frozenset([TOKEN_PATH]).union(
            *(routes_of(source.path) for source in settings.every_source.values())
        ),
        request_timeout=settings.cxone_request_timeout,
        idle_timeout=settings.cxone_idle_timeout,
        drain_timeout=settings.cxone_drain_timeout,
        max_connections=connections,
        max_waiting=settings.cxone_max_waiting,
        max_waiting_bytes=settings.cxone_max_waiting_bytes,
    )


def datadog_account(settings: Settings) -> Account | None:
    """The account to report to; None without an API key."""
    if settings.dd_api_key is None:
        return None
    url = datadog_url(settings)
    key = settings.dd_api_key.get_secret_value()
    return Account(url, key, proxy=datadog_proxy(settings))


def datadog_url(settings: Settings) -> str:
    """The base of all addresses of Datadog."""
    return settings.dd_url or f"https://api.{settings.dd_site}"


def datadog_proxy(settings: Settings) -> str | None:
    """The proxy on the way there, if any: what is said for Datadog, else for all programs."""
    said = settings.dd_proxy_https or settings.https_proxy
    url = datadog_url(settings)
    if said is None or not url.startswith("https://") or is_exempt(url, settings.no_proxy):
        return None
    try:
        return proxy_address(said.get_secret_value())
    except ValueError:
        return None


def report_common(settings: Settings, *, fleet: bool = False) -> Common:
    """The tags and host of every point: of one process, or of all together (`fleet`).

    Processes of one machine would overwrite each other's points, so theirs carry their port.
    """
    port = settings.cxone_listen.rpartition(":")[2]
    unified = {
        "env": settings.dd_env,
        "service": settings.dd_service,
        "version": settings.dd_version or version("cxone-consumer"),
        "instance": None if fleet else f"port-{port}",
    }
    given = (f"{key}:{text}" for key, text in unified.items() if text)
    return Common(
        tags=tags((*given, *settings.dd_tags)),
        host=settings.dd_hostname or socket.gethostname(),
        interval=int(settings.cxone_report_interval),
    )
