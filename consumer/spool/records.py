"""Write a verified delivery as a record, and read it back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from consumer.core.clock import EPOCH
from consumer.core.delivery import MAIN, Delivery, Headers, Verdict, of_source

_MICROSECOND = timedelta(microseconds=1)


class UnknownRecord(ValueError):
    """An intact record that this version of the program cannot read."""


class _Record(msgspec.Struct, frozen=True):
    """Content of a record: MessagePack, so that a later version may add fields that have a default,
    and an earlier one passes them over."""

    id: str
    body: bytes
    headers: dict[str, str]
    received_at: datetime
    secret: str
    verified_at: datetime
    key: str | None = None


class _Sourced(msgspec.Struct, frozen=True):
    """The record of another source than the main one. It holds none of the fields that programs
    from before the sources need, so that they set it aside instead of taking it for the main's."""

    source: str
    record: _Record


def encode(delivery: Delivery) -> bytes:
    """The record of a delivery, which must be verified: raises ValueError otherwise."""
    verdict = delivery.verdict
    if verdict is None:
        raise ValueError("only what was verified may be spooled")
    record = _Record(
        id=delivery.id,
        body=delivery.body,
        headers=dict(delivery.headers),
        received_at=delivery.received_at,
        secret=verdict.secret,
        verified_at=verdict.verified_at,
        key=delivery.key,
    )
    is_main = delivery.source == MAIN
    return msgspec.msgpack.encode(record if is_main else _Sourced(delivery.source, record))


def decode(payload: bytes) -> Delivery:
    """The delivery of a record; raises UnknownRecord."""
    source = MAIN
    try:
        try:
            record = msgspec.msgpack.decode(payload, type=_Record)
        except msgspec.ValidationError:
            sourced = msgspec.msgpack.decode(payload, type=_Sourced)
            source, record = sourced.source, sourced.record
    except msgspec.DecodeError as error:
        raise UnknownRecord("the record is of another version of this program") from error
    return Delivery(
        id=record.id,
        body=record.body,
        headers=Headers(record.headers),
        received_at=record.received_at,
        verdict=Verdict(record.secret, record.verified_at),
        key=record.key,
        source=source,
    )


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // _MICROSECOND


def moment(micros: int) -> datetime:
    """The inverse of `micros`, in UTC."""
    return EPOCH + timedelta(microseconds=micros)


def plain(delivery: Delivery) -> dict[str, Any]:
    """A delivery as a JSON object for people and programs; a body that is not UTF-8 is base64."""
    try:
        body: dict[str, Any] = {"body": delivery.body.decode("utf-8")}
    except UnicodeDecodeError:
        body = {"body_base64": delivery.body}
    verdict = delivery.verdict
    return {
        "delivery": delivery.id,
        **of_source(delivery.source),
        "received_at": delivery.received_at,
        "headers": dict(delivery.headers),
        "secret": verdict.secret if verdict else None,
        "verified_at": verdict.verified_at if verdict else None,
        **body,
    }
