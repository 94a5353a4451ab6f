"""Build the sources of the settings, the main one first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from config.loading import Settings
from config.signing import HEADER
from config.sources import SourceSettings
from consumer.ingest.credentials import Credential, KeyedHashes
from consumer.ingest.oauth2 import AccessToken
from consumer.ingest.parsing import EventFields, EventParser
from consumer.ingest.signature import Secret, SignatureScheme, covers
from consumer.ingest.source import Proof, Signed, Source, Sources
from consumer.runtime.settings_map import shared_secrets, signature_scheme


def build_sources(settings: Settings, admit: Callable[[], None] = lambda: None) -> Sources:
    """All sources of the settings; `admit` as of Sources."""
    hashes = KeyedHashes.of(secret.key for secret in shared_secrets(settings.main))
    return Sources(_each(settings, hashes), hashes, admit)


def token_clients(settings: Settings) -> dict[str, tuple[Secret, ...]]:
    """The secrets of the sources that prove themselves by OAuth 2.0, by their client ids."""
    return {
        name: shared_secrets(source)
        for name, source in settings.every_source.items()
        if source.proof == "oauth2"
    }


def _each(settings: Settings, hashes: KeyedHashes) -> Iterator[Source]:
    every = settings.every_source
    hidden = {each.header_name.lower() for each in every.values() if each.credential}
    for name, each in every.items():
        fields = EventFields(each.id, each.type, each.subject_prefix)
        scheme = signature_scheme(each)
        yield Source(
            name=name,
            path=each.path,
            proof=_proof(name, each, scheme, hashes),
            parser=EventParser(fields, settings.cxone_store_max_depth, name),
            identifying=fields.headers,
            kept=frozenset(each.kept_headers),
            # Whoever posts to a wrong path shows its credential there.
            hidden=frozenset(hidden | ({"authorization"} - each.kept_headers.keys())),
            unsigned=() if each.credential else _unsigned(each, scheme),
            credential_header=each.header_name if each.credential else "",
        )


def _unsigned(source: SourceSettings, scheme: SignatureScheme) -> tuple[str, ...]:
    """The parts of an event's identity that stand in a header which nobody signed."""
    places = {"id": source.places_of_id, "type": (source.type,)}
    return tuple(
        part
        for part, named in places.items()
        if any(
            place.startswith(HEADER) and not covers(scheme, place.removeprefix(HEADER))
            for place in named
        )
    )


def _proof(
    name: str, source: SourceSettings, scheme: SignatureScheme, hashes: KeyedHashes
) -> Proof:
    secrets = shared_secrets(source)
    if source.proof == "hmac":
        return Signed(scheme, secrets)
    if source.proof == "oauth2":
        return AccessToken(name, secrets)
    return Credential(
        secrets,
        hashes,
        header=source.header_name,
        prefix=source.prefix_text,
        user=(source.user or name) if source.proof == "basic" else None,
    )
