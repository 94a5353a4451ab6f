"""What the settings mean for each part: the translation from names of users to words of parts."""

from __future__ import annotations

from config.settings import Settings
from config.subjects import ALL, SubjectRules
from consumer.errors import NoMongo, SetupError
from consumer.ingest import Policy
from consumer.parsing import EventFields
from consumer.schema.policy import Guards, SchemaPolicy, SubjectPolicy, subject_policy
from consumer.server.server import ServerOptions
from consumer.signature import Secret, SignatureScheme
from consumer.storage.embedded.running import running_uri


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
    """How deliveries are judged and told apart."""
    return Policy(
        scheme=signature_scheme(settings),
        secrets=shared_secrets(settings),
        scope=settings.cxone_schema_scope,
        dedupe=settings.cxone_dedupe,
        hex_bytes=settings.cxone_log_hex_bytes,
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
            defaults=rules.defaults,
            maps=rules.maps,
            objects=rules.objects,
        )
    except ValueError as error:
        raise SetupError(f'[subjects."{name}"] in the config file: {error}') from error


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
        request_timeout=settings.cxone_request_timeout,
        drain_timeout=settings.cxone_drain_timeout,
        max_waiting=settings.cxone_max_waiting,
    )
