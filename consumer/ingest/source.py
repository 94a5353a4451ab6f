"""Sources: each has a path of its own, a proof, and its places of id and type.

The source of a delivery is decided by the path it came by, and stays with it for ever.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, Protocol

from consumer.core.delivery import MAIN, Delivery, Event, Headers, Scalar, Verdict, source_of
from consumer.core.errors import (
    CredentialInvalid,
    SetupError,
    SignatureError,
    SourceUnknown,
    StoreUnavailable,
)
from consumer.ingest.credentials import Credential, KeyedHashes
from consumer.ingest.parsing import EventParser
from consumer.ingest.signature import Secret, SignatureScheme, verify
from consumer.ingest.signature_diagnosis.findings import Finding, in_table_of
from consumer.ingest.signature_diagnosis.search import investigate

# Seconds for which a refusal to store what comes by other sources is remembered.
_ASK_AGAIN = 10.0


class Proof(Protocol):
    """A way to prove that a delivery comes from its source."""

    def verify(self, delivery: Delivery, now: datetime, /) -> Verdict:
        """The verdict with the secret that matched; raises SignatureError."""


@dataclass(frozen=True, slots=True)
class Signed:
    """The proof by an HMAC over the body."""

    scheme: SignatureScheme
    secrets: Sequence[Secret]

    def verify(self, delivery: Delivery, now: datetime) -> Verdict:
        """The verdict with the secret that signed; raises SignatureError."""
        return verify(delivery, self.scheme, self.secrets, now)


@dataclass(frozen=True, slots=True)
class Source:
    """One sender. `kept` are the headers that stay with its deliveries beside those that always do,
    `hidden` those that are never kept, both in lower case; `unsigned` says which of id and type
    its proof does not cover, `credential_header` is that of one that does not cover the body."""

    name: str
    path: str
    proof: Proof
    parser: EventParser
    identifying: tuple[str, ...] = ()
    kept: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    unsigned: tuple[str, ...] = ()
    credential_header: str = ""

    def verify(self, delivery: Delivery, now: datetime, presented: Collection[str] = ()) -> Verdict:
        """The verdict on a delivery; raises SignatureError. `presented` are hashes of what it
        presented once, where that is not kept."""
        if presented and isinstance(self.proof, Credential):
            return self.proof.recognise(presented, now)
        if presented and not isinstance(self.proof, Signed):
            raise CredentialInvalid("Access tokens are not kept, and so cannot be verified again")
        return self.proof.verify(delivery, now)

    def identity(self, delivery: Delivery) -> str:
        """The part of a delivery's identity that its body does not hold: nothing, or the source and
        the headers with id and type."""
        if self.name == MAIN and not self.identifying:
            return ""
        headers = delivery.headers
        return json.dumps([self.name, *(headers.get(name) or "" for name in self.identifying)])


class Sources:
    """All sources by name, the main one first.

    Before anything is stored that came by others `admit` is called, once it must succeed: an older
    program would take it for the main one's. It raises SetupError or StoreUnavailable.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        hashes: KeyedHashes,
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        self._by_name: Mapping[str, Source] = {source.name: source for source in sources}
        self._hashes = hashes
        # Headers that may prove a delivery to be another source's, or carry a credential.
        self.proving = frozenset[str]()
        if self.beside_main or not isinstance(self.main.proof, Signed):
            self.proving = self.proving.union(*(each.kept | each.hidden for each in self))
        self._admit = admit
        self._admitted = False
        self._refusal, self._ask_again_at = "", 0.0

    def __iter__(self) -> Iterator[Source]:
        return iter(self._by_name.values())

    @property
    def main(self) -> Source:
        return self._by_name[MAIN]

    @property
    def beside_main(self) -> bool:
        """True where the settings have others."""
        return len(self._by_name) > 1

    def admit(self) -> None:
        """Let what comes by others than the main one be stored; raises SetupError while it must
        not be, and StoreUnavailable."""
        if self._admitted:
            return
        if monotonic() < self._ask_again_at:
            raise SetupError(self._refusal)
        try:
            self._admit()
        except SetupError as error:
            # It takes an upgrade to change that; each delivery would ask MongoDB.
            self._refusal, self._ask_again_at = str(error), monotonic() + _ASK_AGAIN
            raise
        self._admitted = True

    def require_admitted(self, name: str) -> None:
        """Raise StoreUnavailable where what comes by a source must not be stored yet."""
        if name != MAIN:
            try:
                self.admit()
            except SetupError as error:
                raise StoreUnavailable(f"sources beside main wait: {error}") from error

    def named(self, name: str) -> Source:
        """The source of a name; raises SourceUnknown for one that is not in the settings now."""
        source = self._by_name.get(name)
        if source is None:
            raise SourceUnknown(
                f"the source {name} is not in the settings: put [sources.{name}] back, or give it"
                " to another one with `dlq retry --as-source`"
            )
        return source

    def presented(self, delivery: Delivery) -> list[str]:
        """Hashes of all that a refused delivery may have presented as a credential."""
        source = self._by_name.get(delivery.source)
        if source is None or isinstance(source.proof, Signed):
            return []
        values = (delivery.headers.get(name) for name in sorted(source.hidden))
        return [hash_ for value in values if value for hash_ in self._hashes.of_header(value)]

    def right_for(self, delivery: Delivery, now: datetime) -> Source | None:
        """The other source whose proof a refused delivery has, if there is one."""
        for source in self:
            if source.name != delivery.source:
                with suppress(SignatureError):
                    source.proof.verify(delivery, now)
                    return source
        return None

    def investigate(self, delivery: Delivery) -> Finding | None:
        """The reason why a refused delivery's signature is wrong; None where none is known."""
        source = self._by_name.get(delivery.source)
        if source is None or not isinstance(source.proof, Signed):
            return None
        found = investigate(delivery, source.proof.scheme, source.proof.secrets)
        return found if found is None or source.name == MAIN else in_table_of(source.name, found)

    def identify(
        self, name: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[Scalar | None, str | None]:
        """Id and type of a body as a source reads it; nothing where it is not in the settings."""
        source = self._by_name.get(name)
        return (None, None) if source is None else source.parser.identify(body, Headers(headers))

    def identity(self, delivery: Delivery) -> str:
        """As that of its source; where that is not in the settings any header may be part of it."""
        source = self._by_name.get(delivery.source)
        if source is None:
            return json.dumps([delivery.source, sorted(delivery.headers.items())])
        return source.identity(delivery)

    def parse(self, entry: Mapping[str, Any], body: bytes, original: bytes | None = None) -> Event:
        """The event of a dead letter, by a body of it; raises Rejected or SourceUnknown."""
        parser = self.named(source_of(entry)).parser
        return parser.parse(body, original, Headers(entry.get("headers") or {}))
