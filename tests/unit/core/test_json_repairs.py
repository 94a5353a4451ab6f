"""Repairs make near-JSON readable, leave JSON alone, and invent nothing."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.json_repairs import TABLE, repair, repair_by_name

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("body", "names", "value"),
    [
        (b'{"a":"x\ny\t\x00\x1f"}', ("control_characters",), {"a": "x\ny\t\0\x1f"}),
        (b'\xef\xbb\xbf{"a":1}', ("byte_order_mark",), {"a": 1}),
        (
            b'\xef\xbb\xbf{"a":"\r\n"}',
            ("byte_order_mark", "control_characters"),
            {"a": "\r\n"},
        ),
        (rb'{"path":"C:\dir\new\u12"}', ("invalid_escapes",), {"path": "C:\\dir\new\\u12"}),
        (rb'{"a":"\\d \" \/"}'.replace(b"}", b",}"), ("trailing_comma",), {"a": '\\d " /'}),
        (b'{"a":[1,2, ],}', ("trailing_comma",), {"a": [1, 2]}),
        (b'{"a":",}",}', ("trailing_comma",), {"a": ",}"}),
        ('{"a":"ä€"}'.encode("windows-1252"), ("windows_1252",), {"a": "ä€"}),
        ('{"a":"ä€"}'.encode("utf-16"), ("utf_16",), {"a": "ä€"}),
        ('{"a":"ä€"}'.encode("utf-16-le"), ("utf_16",), {"a": "ä€"}),
        ('{"a":"ä€"}'.encode("utf-16-be"), ("utf_16",), {"a": "ä€"}),
        (
            '\ufeff{"a":"ä\n\\q",}'.encode(),
            ("byte_order_mark", "control_characters", "invalid_escapes", "trailing_comma"),
            {"a": "ä\n\\q"},
        ),
    ],
)
def test_what_is_almost_json_is_read_as_it_was_meant(
    body: bytes, names: tuple[str, ...], value: Any
) -> None:
    repaired = repair(body, safe_only=False)

    assert repaired is not None
    assert repaired.names == names
    assert json.loads(repaired.body) == value


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,}',
        rb'{"a":"\d"}',
        '{"a":"ä"}'.encode("windows-1252"),
        '{"a":1}'.encode("utf-16"),
    ],
)
def test_what_could_be_read_in_two_ways_is_not_repaired_without_asking(body: bytes) -> None:
    repaired = repair(body, safe_only=True)

    if repaired is not None:
        with pytest.raises(ValueError):
            json.loads(repaired.body)


@pytest.mark.parametrize("correct", ["Müller", "例え", "\ud7ff\ue000", "🎧"])
@pytest.mark.parametrize("cut", [b"\xc3", b"\xe4\xbe", b"\xf0\x9f\x8e", b"\xfc"])
def test_correct_text_beside_a_character_that_was_cut_is_never_rewritten(
    correct: str, cut: bytes
) -> None:
    for body in (
        b'{"id":"1","type":"t","name":"%b","note":"Stra%b"}' % (correct.encode(), cut),
        b'{"id":"1","note":"%b","%b":",}",}' % (cut, correct.encode()),
    ):
        repaired = repair(body, safe_only=False)

        if repaired is not None:
            assert correct.encode() in repaired.body
            assert "windows_1252" not in repaired.names


@pytest.mark.parametrize("cut", range(1, 40))
def test_nothing_is_invented_for_a_truncated_body(cut: int) -> None:
    whole = b'\xef\xbb\xbf{"id":"1","type":"t","note":"a\nb",}  '.rstrip()
    body = whole[: min(cut, len(whole) - 1)]

    for safe_only in (True, False):
        repaired = repair(body, safe_only=safe_only)
        if repaired is not None:
            with pytest.raises(ValueError):
                json.loads(repaired.body)


@given(json_values, st.booleans())
def test_a_body_that_is_json_is_never_altered(value: Any, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "backslashreplace")

    assert repair(body, safe_only=False) is None


@given(json_values)
def test_a_repair_recorded_by_name_gives_the_same_body_again(value: Any) -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"v": value, "n": "x"}).encode().replace(b'"x"', b'"\n"')
    repaired = repair(body, safe_only=False)

    assert repaired is not None
    assert repair_by_name(body, repaired.names) == repaired


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
@pytest.mark.parametrize(
    "body",
    [
        b'"' + rb"\"" * 500_000,
        b'"\\' * 500_000,
        b"," * 1_000_000,
        (b"," + b" " * 4000) * 250,
        b"\n" * 1_000_000,
        b'"' + b"\x01" * 500_000,
        b"\xf0\x9f\x8e" * 300_000,
        b"\xfc" * 1_000_000,
    ],
    ids=lambda body: repr(body[:4]),
)
def test_no_body_takes_long(row: Any, body: bytes) -> None:
    started = time.thread_time()

    row.apply(body)

    assert time.thread_time() - started < 2


def test_a_body_that_is_too_large_or_gets_so_is_not_repaired() -> None:
    for size in (5 * 1024 * 1024, 1024 * 1024):
        body = b'{"a":"' + bytes(size) + b'"}'
        assert repair(body, safe_only=False) is None
    assert repair(b'{"a":"' + bytes(1024) + b'"}', safe_only=True) is not None
