"""A body is edited without its masked values being seen, and they come to light nowhere."""

from __future__ import annotations

import json

import pytest

from consumer.dead_letters.editing import Misplaced, NotEditable, editable, masker, restore
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


def test_what_cannot_be_read_is_not_edited_where_anything_is_masked() -> None:
    with pytest.raises(NotEditable, match="cannot be read"):
        editable(MASKS.body(b'{"email":"a@b","n":1,}'))
    with pytest.raises(NotEditable, match="looks like"):
        editable(MASKS.body(b'{"email":"a@b","n":"[masked 1]"}'))


def test_without_masks_any_body_is_edited_as_it_is() -> None:
    body = b'{"n":"[masked 1]",'

    found = editable(Redaction().body(body))

    assert found.text == body
    assert restore(body, found.values, masker(Redaction(), None, lambda _: None)) == body
