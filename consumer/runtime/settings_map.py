"""What the settings mean for each part: the translation from names of users to words of parts."""

from __future__ import annotations

import socket
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version

from config.loading import Settings
from config.subjects import ALL, SubjectRules
from config.value_parsers import proxy_address
from consumer.core.errors import NoMongo, SetupError
from consumer.dead_letters.conditions import Basis
from consumer.dead_letters.retry import RetryRules
from consumer.events.keys import COLLECTION_SUBJECT
from consumer.http.server.server import ServerOptions
from consumer.http.webhook import ROUTES
from consumer.ingest.ingest import Policy
from consumer.ingest.parsing import EventFields
from consumer.ingest.signature import Secret, SignatureScheme
from consumer.mongodb.embedded.port import running_uri
from consumer.mongodb.retention import Retention
from consumer.monitoring.datadog.intake import Account
from consumer.monitoring.datadog.points import Common, tags
from consumer.monitoring.datadog.transport import is_exempt
from consumer.privacy.paths import Paths, read_paths
from consumer.privacy.rules import Redaction
from consumer.schemas.policy import Guards, SchemaPolicy, SubjectPolicy, subject_policy


def signature_scheme(settings: Settings) -> SignatureScheme:
    """How senders sign."""
    return SignatureScheme(
        header=settings.cxone_signature_header,
        encoding=settings.cxone_signature_encoding,
        prefix=settings.cxone_signature_prefix,
        content=settings.cxone_signed_content,
        timestamp_header=settings.cxone_timestamp_header,
        tolerance=settings.cxone_timestamp_tolerance,
    )


def shared_secrets(settings: Settings) -> tuple[Secret, ...]:
    """The secrets that may have signed, the current one first."""
    named = (
        ("current", settings.cxone_shared_secret),
        ("previous", settings.cxone_shared_secret_previous),
    )
    return tuple(
        Secret(name, secret.get_secret_value().encode()) for name, secret in named if secret
    )


def ingest_policy(settings: Settings) -> Policy:
    """Policy by which deliveries are judged."""
    return Policy(
        scheme=signature_scheme(settings),
        secrets=shared_secrets(settings),
        scope=settings.cxone_schema_scope,
    )


def event_fields(settings: Settings) -> EventFields:
    """Where an event's id and type stand."""
    return EventFields(settings.cxone_id_field, settings.cxone_type_field)


def schema_policy(settings: Settings) -> SchemaPolicy:
    """Contracts, pins, defaults and guards; raises SetupError for a path that is none."""
    guards = Guards(
        depth=settings.cxone_schema_max_depth,
        paths_per_event=settings.cxone_schema_max_paths,
        paths_per_subject=settings.cxone_schema_max_paths,
        subjects=settings.cxone_schema_max_subjects,
        versions_per_hour=settings.cxone_schema_max_versions_per_hour,
        map_children=settings.cxone_map_min_children,
    )
    return SchemaPolicy(
        general=_subject(settings, ALL, settings.rules_for(ALL)),
        subjects={
            name: _subject(settings, name, settings.rules_for(name))
            for name in settings.subjects
            if name != ALL
        },
        guards=guards,
    )


def _subject(settings: Settings, name: str, rules: SubjectRules) -> SubjectPolicy:
    try:
        return subject_policy(
            on_new_field=rules.on_new_field,
            on_type_conflict=rules.on_type_conflict,
            typed=settings.cxone_defaults == "typed",
            nothing=settings.cxone_defaults == "none",
            defaults=rules.defaults,
            max_bytes=settings.cxone_fill_max_bytes,
            max_fields=settings.cxone_fill_max_fields,
            maps=rules.maps,
            objects=rules.objects,
        )
    except ValueError as error:
        raise SetupError(f'[subjects."{name}"] in the config file: {error}') from error


def redaction(settings: Settings) -> Redaction:
    """What is masked wherever payloads are shown; raises SetupError for a path that is none."""
    subjects = {
        name: _paths(rules.redact, f'redact of [subjects."{name}"] in the config file')
        for name, rules in settings.subjects.items()
    }
    of_all = [subjects.pop(ALL, frozenset()), _paths(settings.cxone_redact, "CXONE_REDACT")]
    if settings.cxone_schema_scope == "collection":
        of_all.append(subjects.get(COLLECTION_SUBJECT, frozenset()))
    together = COLLECTION_SUBJECT if settings.cxone_schema_scope == "collection" else None
    return Redaction(frozenset().union(*of_all), subjects, settings.cxone_id_field, together)


def _paths(texts: Collection[str], where: str) -> Paths:
    try:
        return read_paths(texts)
    except ValueError as error:
        raise SetupError(f"{where}: {error}") from error


def retry_rules(settings: Settings) -> RetryRules:
    """How often dead letters are tried, and what may be done to them."""
    return RetryRules(
        attempts=settings.cxone_retry_attempts, auto_repair=settings.cxone_auto_repair == "on"
    )


def dead_letter_retention(settings: Settings) -> timedelta:
    """How long dead letters that have ended are kept."""
    return timedelta(days=settings.cxone_dead_letter_retention_days)


def retention(settings: Settings) -> Retention:
    """What MongoDB deletes by itself, and when."""
    return Retention(
        events=settings.cxone_retention_days,
        audit=settings.cxone_audit_retention_days,
        dead_letters=dead_letter_retention(settings),
    )


def retry_basis(settings: Settings) -> Basis:
    """What these settings say of that for which dead letters wait."""
    secrets = (secret.key for secret in shared_secrets(settings))
    accepting = (
        settings.cxone_id_field,
        settings.cxone_type_field,
        settings.cxone_store_max_depth,
        settings.cxone_dedupe,
        settings.cxone_schema_scope,
        schema_policy(settings).general.contract,
        # What is masked changes nothing of what can be stored.
        sorted((name, replace(settings.rules_for(name), redact=())) for name in settings.subjects),
    )
    return Basis(
        signing=(repr(signature_scheme(settings)).encode(), *secrets),
        settings=repr(accepting),
        one_subject=COLLECTION_SUBJECT if settings.cxone_schema_scope == "collection" else None,
    )


def mongodb_uri(settings: Settings) -> str:
    """`MONGODB_URI`, else that of the embedded MongoDB which runs on the data directory; raises
    NoMongo where there is neither."""
    if settings.mongodb_uri is not None:
        return settings.mongodb_uri.get_secret_value()
    uri = running_uri(settings.cxone_data_dir)
    if uri is None:
        raise NoMongo(
            "no MongoDB: set MONGODB_URI, or start `cxone-consumer serve --embedded`"
            f" on the data directory {settings.cxone_data_dir}"
        )
    return uri


def server_options(settings: Settings) -> ServerOptions:
    """Bounds and times of the HTTP server."""
    return ServerOptions(
        listen=settings.cxone_listen,
        threads=settings.cxone_threads,
        max_body_bytes=settings.cxone_max_body_bytes,
        delivery_paths=ROUTES,
        request_timeout=settings.cxone_request_timeout,
        idle_timeout=settings.cxone_idle_timeout,
        drain_timeout=settings.cxone_drain_timeout,
        max_connections=settings.cxone_max_connections,
        max_waiting=settings.cxone_max_waiting,
        max_waiting_bytes=settings.cxone_max_waiting_bytes,
    )


def datadog_account(settings: Settings) -> Account | None:
    """Where to report; None without an API key."""
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
    """What every point carries: of one process, or of all together (`fleet`).

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
