from __future__ import annotations

import gzip
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.errors import MalformedJson, MissingFields, Rejected, TooDeep, Unstorable
from consumer.ingest.parsing import EventFields, EventParser, deeper_than, may_be_deeper

PARSER = EventParser(EventFields(), max_depth=100)


def body_of(depth: int) -> bytes:
    """A valid event whose payload nests `depth` levels, the payload object being the first."""
    return b'{"id":"1","type":"t","x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_event_keeps_values_types_and_key_order_as_sent() -> None:
    body = b'{"type":"t","z":1.0,"a":1,"id":"7","n":null,"big":123456789012345678901}'

    event = PARSER.parse(body)

    assert (event.id, event.type) == ("7", "t")
    assert list(event.payload) == ["type", "z", "a", "id", "n", "big"]
    assert type(event.payload["z"]) is float
    assert type(event.payload["a"]) is int
    assert event.payload["big"] == 123456789012345678901
    assert event.digest == hashlib.sha256(body).hexdigest()


def test_digest_of_a_repaired_body_is_that_of_the_original() -> None:
    event = PARSER.parse(b'{"id":"1","type":"t"}', original=b'{"id":"1","type":"t",}')

    assert event.digest == hashlib.sha256(b'{"id":"1","type":"t",}').hexdigest()


@pytest.mark.parametrize(
    ("body", "position"),
    [
        (b"", 0),
        (b"not json", 0),
        (b'{"id":"1","type":"t",}', 20),
        (b'{"id":"1","type":"t"} x', 22),
        (b'{"id":"1","type":"t","a":"\x01"}', 26),
        (b'\xef\xbb\xbf{"id":"1","type":"t"}', 0),
        (b'{"id":"1","type":"\xff"}', 18),
        (b'{"id":"\xc3\xa4","type":tt}', 18),
        (b'{"id":"1","type":"t","a":NaN}', None),
        (b'{"id":"1","type":"t","a":-Infinity}', None),
        ('{"id":"1","type":"t"}'.encode("utf-16"), 0),
    ],
)
def test_malformed_json_tells_the_byte_of_its_fault(body: bytes, position: int | None) -> None:
    with pytest.raises(MalformedJson) as caught:
        PARSER.parse(body)

    if position is not None:
        assert caught.value.position is not None
        assert abs(caught.value.position - position) <= 1


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"1",
        b'"text"',
        b"null",
        b"{}",
        b'{"id":"1"}',
        b'{"type":"t"}',
        b'{"id":"","type":"t"}',
        b'{"id":null,"type":"t"}',
        b'{"id":true,"type":"t"}',
        b'{"id":{},"type":"t"}',
        b'{"id":"1","type":""}',
        b'{"id":"1","type":["t"]}',
        b'{"id":"1","type":false}',
    ],
)
def test_json_without_id_or_type_says_which_fields_are_required(body: bytes) -> None:
    with pytest.raises(MissingFields, match="Missing required CXone fields: id, type"):
        PARSER.parse(body)


@pytest.mark.parametrize(
    "value",
    [b"1e400", b"-1e400", b'"\\ud800"', b'"\\udc00x"', b"9" * 5000],
    ids=["1e400", "-1e400", "high surrogate", "low surrogate", "5,000 digits"],
)
def test_json_that_bson_cannot_hold_is_unstorable(value: bytes) -> None:
    with pytest.raises(Unstorable):
        PARSER.parse(b'{"id":"1","type":"t","a":' + value + b"}")


def test_nul_in_a_key_is_unstorable_and_in_a_value_is_not() -> None:
    with pytest.raises(Unstorable):
        PARSER.parse(b'{"id":"1","type":"t","a":[{"b\\u0000":1}]}')

    assert PARSER.parse(b'{"id":"1","type":"t","a":"\\u0000"}').payload["a"] == "\0"


def test_compressed_body_is_malformed_and_told_so_without_being_unpacked() -> None:
    bomb = gzip.compress(b" " * 10_000_000)

    with pytest.raises(MalformedJson, match="compressed") as raised:
        PARSER.parse(bomb)

    assert raised.value.position == 1


def test_depth_limit_is_exact() -> None:
    assert PARSER.parse(body_of(100)).id == "1"
    with pytest.raises(TooDeep):
        PARSER.parse(body_of(101))


@pytest.mark.parametrize("depth", [500, 2000, 100_000])
def test_nesting_beyond_the_parser_is_too_deep_and_not_a_crash(depth: int) -> None:
    with pytest.raises(TooDeep):
        PARSER.parse(body_of(depth))


@pytest.mark.parametrize(
    ("id_field", "type_field", "body"),
    [
        ("eventId", "eventType", b'{"eventId":"1","eventType":"t"}'),
        ("/meta/id", "/meta/kind", b'{"meta":{"id":"1","kind":"t"}}'),
        ("/items/0/id", "type", b'{"items":[{"id":"1"}],"type":"t"}'),
        ("/a~1b/~0", "type", b'{"a/b":{"~":"1"},"type":"t"}'),
        ("a/b", "/type", b'{"a/b":"1","type":"t"}'),
    ],
)
def test_fields_are_keys_or_json_pointers(id_field: str, type_field: str, body: bytes) -> None:
    event = EventParser(EventFields(id_field, type_field), 100).parse(body)

    assert (event.id, event.type) == ("1", "t")


@pytest.mark.parametrize("body", [b'{"items":[],"type":"t"}', b'{"items":1,"type":"t"}'])
def test_pointer_that_leads_nowhere_is_a_missing_field(body: bytes) -> None:
    with pytest.raises(MissingFields, match="/items/0/id, type"):
        EventParser(EventFields("/items/0/id", "type"), 100).parse(body)


def test_numbers_serve_as_id_and_type() -> None:
    event = PARSER.parse(b'{"id":17,"type":3}')

    assert (event.id, event.type) == (17, "3")


def test_last_of_duplicate_keys_wins() -> None:
    assert PARSER.parse(b'{"id":"1","type":"t","a":1,"a":2}').payload["a"] == 2


@pytest.mark.parametrize(
    ("body", "known"),
    [
        (b'{"id":"1"}', ("1", None)),
        (b'{"type":"t"}', (None, "t")),
        (b"[1]", (None, None)),
        (b"{", (None, None)),
        (b"[" * 5000, (None, None)),
    ],
)
def test_identify_tells_what_can_be_read_and_never_raises(
    body: bytes, known: tuple[str | None, str | None]
) -> None:
    assert PARSER.identify(body) == known


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@given(value=json_values)
def test_any_json_value_is_read_as_the_standard_library_reads_it(value: Any) -> None:
    body = json.dumps({"id": "1", "type": "t", "value": value}).encode()

    try:
        payload = PARSER.parse(body).payload
    except Unstorable:
        assert "\\u0000" in body.decode()
    else:
        assert payload == json.loads(body)


@given(body=st.binary(max_size=60))
def test_any_bytes_are_an_event_or_rejected(body: bytes) -> None:
    with pytest.raises(Rejected):
        PARSER.parse(body)


@given(value=json_values, limit=st.integers(0, 6))
def test_deeper_than_agrees_with_the_recursive_definition(value: Any, limit: int) -> None:
    def depth(item: Any) -> int:
        if isinstance(item, dict):
            return 1 + max(map(depth, item.values()), default=0)
        if isinstance(item, list):
            return 1 + max(map(depth, item), default=0)
        return 0

    assert deeper_than(value, limit) == (depth(value) > limit)


@pytest.mark.parametrize(("length", "is_event"), [(1023, True), (1024, False)])
def test_a_header_that_may_have_been_cut_is_no_id(length: int, is_event: bool) -> None:
    parser = EventParser(EventFields(id="header:X-Id"), max_depth=100)
    headers = {"X-Id": "x" * length}

    if is_event:
        assert parser.parse(b'{"type":"t"}', headers=headers).id == "x" * length
    else:
        with pytest.raises(MissingFields):
            parser.parse(b'{"type":"t"}', headers=headers)


_PADDING = st.text(st.sampled_from('[]{}x"\\'), max_size=12)


@given(st.lists(_PADDING | st.lists(_PADDING), max_size=4), st.integers(1, 8), st.integers(1, 10))
def test_no_body_that_is_too_deep_is_passed_over(around: list[Any], depth: int, limit: int) -> None:
    deep: Any = {}
    for level in range(depth):
        deep = {"a": deep} if level % 2 else [deep]
    for place in range(len(around) + 1):
        value = [*around[:place], deep, *around[place:]]
        body = json.dumps(value).encode()
        assert may_be_deeper(body, limit) or not deeper_than(value, limit)


def test_many_shallow_objects_need_no_walk() -> None:
    body = json.dumps([{"a": [], "b": {}}] * 60).encode()

    assert not may_be_deeper(body, 100)
