"""A body is edited without its masked values being seen, and they come to light nowhere."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.dead_letters.editing import (
    Misplaced,
    NotEditable,
    difference,
    editable,
    masker,
    readable,
    restore,
    sides,
)
from consumer.privacy.paths import read_paths
from consumer.privacy.rules import Redaction

MASKS = Redaction(read_paths(["email", "customer"]), {"loud": read_paths(["phone"])})


def type_of(body: bytes) -> str | None:
    found = json.loads(body).get("type")
    return found if isinstance(found, str) else None


def back(text: bytes, body: bytes, known: str | None = None) -> bytes:
    values = editable(MASKS.body(body, known)).values
    return restore(text, values, masker(MASKS, known, type_of))


def test_masked_values_are_numbered_and_what_is_left_keeps_its_value() -> None:
    body = b'{"type":"t","n":1,"email":"a@b","customer":{"name":"Kim"}}'

    found = editable(MASKS.body(body))
    edited = found.text.replace(b'"n":1', b'"n":2,"id":"x"')

    assert found.text == b'{"type":"t","n":1,"email":"[masked 1]","customer":"[masked 2]"}'
    assert back(edited, body) == body.replace(b'"n":1', b'"n":2,"id":"x"')


def test_masked_values_may_be_replaced_removed_and_moved_to_masked_fields() -> None:
    body = b'{"type":"t","email":"a@b","customer":{"name":"Kim"}}'

    assert back(b'{"type":"t","email":"new"}', body) == b'{"type":"t","email":"new"}'
    assert back(b'{"customer":{"x":"[masked 1]"}}', body) == b'{"customer":{"x":"a@b"}}'


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"t","note":"[masked 1]"}',
        b'{"type":"t","email":"[masked 1]","copy":["[masked 1]"]}',
        b'{"type":"t","email":"[masked 7]"}',
        b'{"type":"t","email":"x","a":{"b":"[masked 2]"}}',
    ],
)
def test_a_masked_value_cannot_be_brought_to_light(text: bytes) -> None:
    body = b'{"type":"t","email":"a@b","customer":{"name":"Kim"}}'

    with pytest.raises(Misplaced):
        back(text, body)


def test_another_type_does_not_bring_to_light_what_the_first_one_masks() -> None:
    body = b'{"type":"loud","phone":"123"}'

    assert back(b'{"type":"loud","n":1,"phone":"[masked 1]"}', body, "loud").endswith(b'"123"}')
    with pytest.raises(Misplaced):
        back(b'{"type":"quiet","phone":"[masked 1]"}', body, "loud")


BROKEN = b'{"email":"a@b","n":1 "type":"t","customer":{"name":"Kim Doe"}}'


def test_what_cannot_be_read_is_edited_without_a_value_being_seen() -> None:
    found = editable(MASKS.body(BROKEN))

    assert found.text == (
        b'{"email":"[masked 1]","n":"[masked 2]" "[masked 3]":"[masked 4]",'
        b'"[masked 5]":{"[masked 6]":"[masked 7]"}}'
    )
    written = b'{"email":"[masked 1]","n":2,"type":"t","customer":{"name":"[masked 7]"}}'
    assert back(written, BROKEN) == (
        b'{"email":"a@b","n":2,"type":"t","customer":{"name":"Kim Doe"}}'
    )


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"t","note":"[masked 7]"}',
        b'{"type":"t","[masked 7]":1}',
        b'{"type":"[masked 4]","email":"[masked 1]"}',
        b'{"type":"t","n":"[masked 2]"}',
    ],
)
def test_of_what_cannot_be_read_nothing_comes_to_light(text: bytes) -> None:
    with pytest.raises(Misplaced):
        back(text, BROKEN)


# A text that looks like a placeholder is not edited at all: a test of its own, below.
TAILS = st.binary(max_size=40) | st.text('{}[],:" ab\\', max_size=40).map(str.encode)


@given(TAILS.filter(lambda tail: b"[masked " not in tail))
def test_no_byte_is_seen_that_is_hidden(tail: bytes) -> None:
    body = MASKS.body(b'{"email":"a@b",' + tail)
    found = editable(body)

    at = 0
    for text, number in re.findall(rb'(.*?)(?:"\[masked (\d+)\]"|\Z)', found.text, re.DOTALL):
        assert body.raw[at : at + len(text)] == text
        assert not any(body.hidden(at, at + len(text)))
        at += len(text) + len(found.values[int(number)] if number else b"")
    assert at == len(body.raw)


def test_letters_are_written_as_themselves_and_all_else_stays() -> None:
    body = rb'{"a":"J\u00fcrgen \ud83d\ude00 \u0022 \\u00fc \ud83d \u202e \n","b":"x"}'
    text = '{"a":"Jürgen \U0001f600 \\u0022 \\\\u00fc \\ud83d \\u202e \\n","b":"x"}'

    assert readable(body).decode() == text
    assert json.loads(readable(body)) == json.loads(body)


def test_a_difference_stands_side_by_side() -> None:
    lines = difference(b'{"a":1,"b":2,"c":3}', b'{"a":1,"b":4,"x":5,"c":3}')

    assert ('"b":2,', '"b":4,') in sides(lines)
    assert (None, '"x":5,') in sides(lines)
    assert sides([" a", "-b", " c"]) == [(" a", " a"), ("b", None), (" c", " c")]


def test_text_that_looks_like_a_placeholder_is_not_edited() -> None:
    with pytest.raises(NotEditable, match="looks like"):
        editable(MASKS.body(b'{"email":"a@b","n":"[masked 1]"}'))


def test_without_masks_any_body_is_edited_as_it_is() -> None:
    body = b'{"n":"[masked 1]",'

    found = editable(Redaction().body(body))

    assert found.text == body
    assert restore(body, found.values, masker(Redaction(), None, lambda _: None)) == body
