from __future__ import annotations

import json
from datetime import datetime, timezone
from hashlib import sha256
from typing import Any

import bson
import pytest
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.delivery import MAIN, Event
from consumer.core.errors import Unstorable
from consumer.events.documents import Stamp, encode, layout, storable_id
from consumer.events.keys import document_id

AT = datetime(2026, 5, 1, tzinfo=timezone.utc)
STAMP = Stamp("t", 3, 2, AT, AT)


def event(payload: dict[str, Any]) -> Event:
    return Event("1", "t", payload, "d" * 64)


def test_payload_stands_at_top_level_in_its_own_order_before_our_fields() -> None:
    document = layout("k", event({"type": "t", "b": 1, "a": None, "id": "1"}), STAMP)

    assert list(document) == [
        "_id",
        "type",
        "b",
        "a",
        "id",
        "schema_version",
        "processed_at",
        "_meta",
    ]
    assert document["schema_version"] == 3
    assert document["_meta"] == {
        "subject": "t",
        "received_at": AT,
        "digest": "d" * 64,
        "key": "1",
        "exhibited_version": 2,
        "backfilled_to": 3,
    }


def test_colliding_keys_are_shadowed_with_their_values() -> None:
    sent = {
        "id": "1",
        "_id": 5,
        "$where": "x",
        "schema_version": [1],
        "_meta": {},
        "processed_at": 0,
    }

    document = layout("k", event(dict(sent)), STAMP)

    assert document["_id"] == "k"
    assert document["_meta"]["shadowed"] == [
        {"name": name, "value": sent[name]}
        for name in ("_id", "$where", "schema_version", "_meta", "processed_at")
    ]


def test_filled_untracked_and_repairs_are_absent_when_empty_and_there_when_not() -> None:
    stamp = Stamp("t", 3, 2, AT, AT, filled=[4, 7], untracked=2, repairs=["byte-order mark"])

    meta = layout("k", event({}), stamp)["_meta"]

    assert (meta["filled"], meta["untracked"]) == ([4, 7], 2)
    assert meta["repairs"] == ["byte-order mark"]


def test_same_body_of_a_subject_has_one_document_id() -> None:
    assert document_id("t", "1", "d") == document_id("t", "1", "d")
    assert len(document_id("t", "1", "d")) == 64


def test_document_id_tells_subject_id_type_of_id_and_body_apart() -> None:
    keys = {
        document_id("t", "1", "d"),
        document_id("u", "1", "d"),
        document_id("t", 1, "d"),
        document_id("t", 1.0, "d"),
        document_id("t", "1", "e"),
        document_id("t", "1", None),
        document_id('t", "1', "1", None),
    }

    assert len(keys) == 7


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(
    _texts,
    _texts | st.integers() | st.floats(allow_nan=False) | st.tuples(_texts, st.integers()),
    st.none() | _texts,
    st.sampled_from([MAIN, "voice", 'a"b']),
)
def test_document_id_is_that_of_the_json_list_for_ever(
    subject: str, event_id: Any, digest: str | None, source: str
) -> None:
    parts: list[Any] = [[source]] if source != MAIN else []
    parts += [subject, event_id] + ([] if digest is None else [digest])

    expected = sha256(json.dumps(parts).encode()).hexdigest()

    assert document_id(subject, event_id, digest, source) == expected


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**33 + 1, 10**40])
def test_integer_beyond_64_bits_becomes_decimal128_when_exact(number: int) -> None:
    decoded = bson.decode(encode({"a": [{"b": number}], "c": 1, "d": 1.0}).raw)

    assert type(decoded["a"][0]["b"]) is Decimal128
    assert int(decoded["a"][0]["b"].to_decimal()) == number
    assert (type(decoded["c"]), type(decoded["d"])) == (int, float)


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63)])
def test_integer_within_64_bits_stays_an_integer(number: int) -> None:
    assert bson.decode(encode({"a": number}).raw)["a"] == number


@pytest.mark.parametrize(
    "document",
    [{"a": 10**34 + 1}, {"a": 10**7000}, {"a\0": 1}, {"a": "\ud800"}, {"a": "x" * (16 << 20)}],
    ids=["35 digits", "7,001 digits", "NUL in a key", "lone surrogate", "over 16 MiB"],
)
def test_what_bson_cannot_hold_unaltered_is_unstorable(document: dict[str, Any]) -> None:
    with pytest.raises(Unstorable):
        encode(document)


def test_text_of_an_unstorable_error_shows_no_payload() -> None:
    with pytest.raises(Unstorable) as caught:
        encode({"secretkey\0": "secretvalue"})

    assert "secret" not in str(caught.value)


def test_storable_id_is_the_id_or_its_text() -> None:
    assert (storable_id("a"), storable_id(5), storable_id(2**70)) == ("a", 5, str(2**70))
