"""A Delivery comes in, may become an Event, and ends as an Outcome.

These are msgspec structs, for making a frozen dataclass costs ten times as much.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from config import signing

OutcomeStatus = Literal["processed", "duplicate", "held", "spooled", "discarded"]
Scalar = str | int | float
MAIN = signing.MAIN
# Characters: what is longer of a header's value is cut, and so no proof and no id.
MOST_OF_HEADER = 1024


def body_digest(body: bytes) -> str:
    """SHA-256 (hex) of a body as received: two deliveries of one body are copies of each other."""
    return hashlib.sha256(body).hexdigest()


def of_source(name: str | None) -> dict[str, Any]:
    """The source as a field of a log line or a row: of the main one nothing is said."""
    return {} if name in (None, MAIN) else {"source": str(name)}


def source_of(entry: Mapping[str, Any]) -> str:
    """The source of a dead letter: that which a person gave it to, or it came by."""
    return str(entry.get("as_source") or entry.get("source") or MAIN)


def joined(ids: tuple[Scalar, ...]) -> str:
    """The JSON list of several ids, by which they are one: never two lists of one text."""
    return json.dumps(ids)


class Verdict(msgspec.Struct, frozen=True):
    """Proof that a signature was right: which secret matched (`current`, `previous`) and when.

    It travels with the delivery, because secrets rotate and timestamps age before a replay.
    """

    secret: str
    verified_at: datetime


class Delivery(msgspec.Struct, frozen=True):
    """The bytes of one POST as received.

    `headers` are looked up without regard to case and iterate over those worth keeping;
    `received_at` is UTC; `verdict` is None until the signature was verified. `key` is the `_id`
    under which it may be stored already, so that what is set since does not store it twice; `peer`
    is who sent it: an address, of IPv6 a /64 network, "" where that is not known. `source` is the
    name of the source by whose path it came, for ever.
    """

    id: str
    body: bytes
    headers: Mapping[str, str]
    received_at: datetime
    verdict: Verdict | None = None
    key: str | None = None
    peer: str = ""
    source: str = MAIN

    def verified(self, verdict: Verdict) -> Delivery:
        """The same delivery with its verdict."""
        return Delivery(
            self.id, self.body, self.headers, self.received_at, verdict, None, "", self.source
        )

    def with_headers(self, headers: Mapping[str, str]) -> Delivery:
        """The same delivery, not verified, with other headers."""
        return Delivery(
            self.id, self.body, headers, self.received_at, peer=self.peer, source=self.source
        )

    def keyed(self, key: str | None) -> Delivery:
        """The same delivery with the `_id` it was judged under."""
        return Delivery(
            self.id, self.body, self.headers, self.received_at, self.verdict, key, "", self.source
        )


class Event(msgspec.Struct, frozen=True):
    """A delivery that parsed: `payload` is the JSON object as sent (insertion-ordered).

    `id` and `type` are the values of the configured fields, several ids joined as a tuple; `digest`
    is the `body_digest` of the original raw body.
    """

    id: Scalar | tuple[Scalar, ...]
    type: str
    payload: dict[str, Any]
    digest: str
    source: str = MAIN

    @property
    def key(self) -> Scalar:
        """The id as one value: of several, their JSON list as text."""
        return joined(self.id) if isinstance(self.id, tuple) else self.id


class Outcome(msgspec.Struct, frozen=True):
    """An expected end.

    `schema_version` is the version this copy was checked against (0: unregistered subject); None
    where it was not checked (held, spooled).
    """

    status: OutcomeStatus
    schema_version: int | None = None


class Headers(Mapping[str, str]):
    """HTTP headers looked up without regard to case (RFC 9110, section 5.1)."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._values = {name.lower(): value for name, value in headers.items()}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
