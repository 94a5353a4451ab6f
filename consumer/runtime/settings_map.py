"""Settings as each part takes them: the translation from the names of users.

What only the whole service has stands in `service_options`: commands import less.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from config.loading import Settings
from config.signing import SecretFormat, secret_key
from config.sources import SourceSettings
from config.subjects import ALL, SubjectRules
from consumer.core.errors import NoMongo, SetupError
from consumer.dead_letters.retry import RetryRules
from consumer.events.keys import COLLECTION_SUBJECT
from consumer.ingest.signature import Secret, SignatureScheme
from consumer.mongodb.embedded.port import running_uri
from consumer.privacy.paths import Paths, read_paths
from consumer.privacy.rules import AliasPairs, Redaction, no_aliases
from consumer.schemas.policy import Guards, SchemaPolicy, SubjectPolicy, subject_policy

# Seconds beside the drain: the jobs, the last report, the refused deliveries that wait, the
# embedded MongoDB, and room for a slow disk.
_BESIDE_DRAIN = 45.0


def signature_scheme(source: SourceSettings) -> SignatureScheme:
    """The scheme by which a sender signs."""
    return SignatureScheme(
        header=source.header_name,
        encoding=source.encoding,
        prefix=source.prefix_text,
        signed=source.signed,
        timestamp_header=source.timestamp_header,
        id_header=source.id_header,
        tolerance=source.tolerance,
        several=source.several == "on",
    )


def shared_secrets(source: SourceSettings) -> tuple[Secret, ...]:
    """The secrets that may have been used, the current one first."""
    named = (("current", source.secret), ("previous", source.secret_previous))
    written = source.secret_format
    return tuple(
        read_secret(name, secret.get_secret_value(), written) for name, secret in named if secret
    )


def read_secret(name: str, text: str, written: SecretFormat) -> Secret:
    """A secret as its format says; raises ValueError, which holds nothing of it."""
    return Secret(name, secret_key(text, written), "" if written == "text" else text)


def one_subject(settings: Settings) -> str | None:
    """The subject of all event types, where they evolve together; else None."""
    return COLLECTION_SUBJECT if settings.cxone_schema_scope == "collection" else None


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
            on_reader_break=rules.on_reader_break,
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


def redaction(
    settings: Settings, aliases: Callable[[str | None], AliasPairs] = no_aliases
) -> Redaction:
    """The fields to mask wherever payloads are shown, and those that have the same values by
    `aliases`; raises SetupError for a path that is none."""
    subjects = {
        name: _paths(rules.redact, f'redact of [subjects."{name}"] in the config file')
        for name, rules in settings.subjects.items()
    }
    of_all = [subjects.pop(ALL, frozenset()), _paths(settings.cxone_redact, "CXONE_REDACT")]
    together = one_subject(settings)
    if together is not None:
        of_all.append(subjects.get(together, frozenset()))
    every = settings.every_source.values()
    places = dict.fromkeys(place for source in every for place in source.fields_of_id)
    general = frozenset().union(*of_all)
    return Redaction(general, subjects, tuple(places), together, aliases)


def _paths(texts: Collection[str], where: str) -> Paths:
    try:
        return read_paths(texts)
    except ValueError as error:
        raise SetupError(f"{where}: {error}") from error


def retry_rules(settings: Settings) -> RetryRules:
    """The rules by which dead letters are tried again and repaired."""
    return RetryRules(
        attempts=settings.cxone_retry_attempts, auto_repair=settings.cxone_auto_repair == "on"
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


def needed(*, embedded: bool) -> list[str]:
    """The settings without which the service cannot run."""
    return ["CXONE_SHARED_SECRET"] if embedded else ["CXONE_SHARED_SECRET", "MONGODB_URI"]


def longest_stop(settings: Settings) -> float:
    """Seconds from the request to stop to the end of the process, at most."""
    return settings.cxone_drain_timeout + _BESIDE_DRAIN
