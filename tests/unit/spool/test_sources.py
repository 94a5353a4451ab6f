"""Records of sources beside main are read by this program, and by older ones set aside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
import pytest

from consumer.core.delivery import MAIN, Delivery
from consumer.spool.records import UnknownRecord, decode, encode
from consumer.spool.spool import Spool
from tests.support.spool import delivery


class _Before(msgspec.Struct, frozen=True):
    """A record as programs read it that knew of no sources."""

    id: str
    body: bytes
    headers: dict[str, str]
    received_at: datetime
    secret: str
    verified_at: datetime
    key: str | None = None


def by(source: str) -> Delivery:
    given = delivery(1)
    return Delivery(
        given.id, given.body, given.headers, given.received_at, given.verdict, source=source
    )


def test_an_older_program_reads_records_of_main_and_sets_others_aside() -> None:
    assert msgspec.msgpack.decode(encode(by(MAIN)), type=_Before).body == by(MAIN).body
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(encode(by("voice")), type=_Before)


def test_a_record_of_main_is_what_it_was_before_there_were_sources() -> None:
    given = by(MAIN)
    assert given.verdict is not None
    before = _Before(
        given.id,
        given.body,
        dict(given.headers),
        given.received_at,
        given.verdict.secret,
        given.verdict.verified_at,
    )

    assert encode(given) == msgspec.msgpack.encode(before)
    assert decode(msgspec.msgpack.encode(before)).source == MAIN


def test_the_source_comes_back_out_of_the_spool(reopened: Callable[..., Spool]) -> None:
    first = reopened()
    for source in ("voice", MAIN):
        first.append(by(source))
    first.close()

    taken = [entry.delivery for entry in reopened().take(10)]

    assert [each.source for each in taken] == ["voice", MAIN]
    assert {each.body for each in taken} == {by(MAIN).body}


def test_what_is_neither_is_of_another_version() -> None:
    with pytest.raises(UnknownRecord):
        decode(msgspec.msgpack.encode({"source": "voice"}))
