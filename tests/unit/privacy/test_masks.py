"""Masks in bodies and payloads, whole or broken, and what stays to be seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.loading import load
from config.settings import MASK
from consumer.core.errors import SetupError
from consumer.core.paths import from_text, to_text
from consumer.core.text import hexdump
from consumer.privacy.paths import read_paths
from consumer.privacy.rules import Redaction
from consumer.runtime.settings_map import redaction

RULES = Redaction(read_paths(["name", "customer.email", "**.phone", "calls[].ip", "tags.*.owner"]))
SECRET = "Wilhelmina"


def shown(body: bytes, rules: Redaction = RULES, subject: str | None = None) -> str:
    return rules.body(body, subject).shown.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"name":"X","id":1}', '{"name":"********","id":1}'),
        ('{"customer":{"Email":"X","age":7}}', '{"customer":{"Email":"********","age":7}}'),
        ('{"n\\u0061me" : [1,{"a":"X"}] }', '{"n\\u0061me" : "********" }'),
        ('{"a":[{"b":{"phone":5}}],"phone":{}}', '{"a":[{"b":{"phone":"********"}}],'
         '"phone":"********"}'),
        ('{"calls":[{"ip":"X"},[{"ip":2}]]}', '{"calls":[{"ip":"********"},[{"ip":"********"}]]}'),
        ('{"tags":{"q":{"owner":"X"},"r":1}}', '{"tags":{"q":{"owner":"********"},"r":1}}'),
        ('{"name":"X","name":"Y"}', '{"name":"********","name":"********"}'),
        ('{"name":null,"other":{"name":"seen"}}', '{"name":null,"other":{"name":"seen"}}'),
        ('{"note":"two\nlines","name":"X"}', '{"note":"two\nlines","name":"********"}'),
        (r'{"x":"{\"name\":\"X\",\"n\":1}"}', r'{"x":"{\"name\":\"********\",\"n\":1}"}'),
        (r'{"customer":"{\"email\":\"X\"}"}', r'{"customer":"{\"email\":\"********\"}"}'),
        (r'{"x":" [\u007b\"name\":5}]"}', r'{"x":" [{\"name\":\"********\"}]"}'),
        (r'{"x":"{\"y\":\"{\\\"name\\\":1}\"}"}',
         r'{"x":"{\"y\":\"{\\\"name\\\":\\\"********\\\"}\"}"}'),
        (r'"{\"name\":\"X\"}"', r'"{\"name\":\"********\"}"'),
        (r'"\"{\\\"name\\\":1}\""', r'"\"{\\\"name\\\":\\\"********\\\"}\""'),
        (r'{"x":"{\"name\":\"Ann"}', '{"x":"********"}'),
        (r'{"x":"{\"first\":\"Ann\"}"}', r'{"x":"{\"first\":\"Ann\"}"}'),
        (r'{"x":"[note] \"name\": Ann","y":"\"Ann\" she said"}',
         r'{"x":"[note] \"name\": Ann","y":"\"Ann\" she said"}'),
        ("\ufeff[]", "\ufeff[]"),
        ("", ""),
    ],
)  # fmt: skip
def test_values_are_masked_by_path_and_nothing_else_is(body: str, expected: str) -> None:
    assert shown(body.encode()) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"id":1,"name":"Ann "Bo" S","x":2}', '{"id":#,"name":#**" *","*":*}'),
        ('{"id":1,"name":"Ann', '{"id":#,"name":"***'),
        ('{"id":1,"name":{"first":Ann},"x":2}', '{"id":#,"name":{"*****":***},"*":*}'),
        ('{"id":1,"name":{"first":2},"x":Ann}', '{"id":#,"name":#,"x":***}'),
        ('{"name":[{"Ann":{"Bo":[1,{"Cy":', '{"name":[{"***":{"**":[*,{"**":'),
        ('{"id":null,"Ann","x":2}', '{"id":null,"***","*":*}'),
        ('{"name":{"id":1}},"first":"Ann"}', '{"name":#},"*****":"***"}'),
        ('{"id":1} Ann', '{"id":#} ***'),
        ("name=Ann", "********"),
    ],
)
def test_no_value_of_a_body_that_cannot_be_read_is_shown(body: str, expected: str) -> None:
    assert shown(body.encode()) == expected.replace("#", '"********"')


def test_a_pointer_counts_items_and_reads_its_escapes() -> None:
    rules = Redaction(read_paths(["/calls/1/ip", "/a~1b/c~0d"]))

    assert shown(b'{"calls":[{"ip":1},{"ip":2}]}', rules) == (
        '{"calls":[{"ip":1},{"ip":"********"}]}'
    )
    assert shown(b'{"a/b":{"c~d":1}}', rules) == '{"a/b":{"c~d":"********"}}'


in_strings = st.sampled_from(["name", "email", "x"]).map(lambda key: json.dumps({key: ["a", 1]}))
payloads = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | in_strings,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "NAME", "customer", "email", "phone", "calls", "ip", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(payloads)
def test_a_body_and_the_payload_read_from_it_hide_the_same(payload: Any) -> None:
    body = json.dumps(payload).encode()

    masked = RULES.body(body)

    assert masked.fault is None
    assert json.loads(masked.shown) == RULES.value(payload)


@given(payloads, st.integers(0, 400), st.binary(max_size=4), st.integers(0, 8))
def test_a_secret_in_a_hidden_field_is_never_shown_however_the_body_is_broken(
    payload: Any, at: int, inserted: bytes, removed: int
) -> None:
    secret = {"first": SECRET, "all": [SECRET, {"x": SECRET}]}
    whole = json.dumps({"x": payload, "name": secret, "y": payload}).encode()
    # A break in front of the field can make another field of it; nobody can tell that one.
    start = whole.index(b'{"first": "%b' % SECRET.encode())
    at = start + at % (len(whole) - start)
    body = whole[:at] + inserted + whole[at + removed :]

    masked = RULES.body(body)

    assert SECRET.encode() not in masked.shown
    begin = body.find(SECRET.encode())
    if begin >= 0:
        assert all(masked.hidden(begin, begin + len(SECRET)))


def test_hex_shows_no_masked_byte() -> None:
    body = b'{"name":"Ann","id":null'

    text = hexdump(body, 23, 64, RULES.body(body).hidden)

    assert text.startswith(
        "000000: 7b 22 6e 61 6d 65 22 3a ** ** ** ** ** 2c 22 69 64 22 3a 6e 75 6c 6c"
    )


@pytest.mark.parametrize("size", [2_000_000])
@pytest.mark.parametrize("unit", [b"[", b'{"a":', b'"\\a', b"x ", b'{"a":1},'])
def test_large_hostile_bodies_are_given_up_where_they_cannot_be_read(
    unit: bytes, size: int
) -> None:
    masked = RULES.body(unit * (size // len(unit)))

    assert masked.fault is not None
    assert masked.fault < 3000


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("customer.email", "customer.email"),
        ("customer.email.work", 'customer.email."********"'),
        ("a.b[].phone.x[].y", 'a.b[].phone."********"[]."********"'),
        ("calls[].ip.v4", 'calls[].ip."********"'),
        ("CUSTOMER.EMAIL.work", 'CUSTOMER.EMAIL."********"'),
        ("tags.*.owner.x", 'tags.*.owner."********"'),
        ("tags.blue.owner", "tags.blue.owner"),
        ("name.*.x", 'name.*."********"'),
        ('o."user5@example.com".role', 'o."********".role'),
        ("o.other", "o.other"),
    ],
)
def test_names_below_what_is_hidden_are_hidden_and_those_of_people(path: str, shown: str) -> None:
    assert to_text(RULES.path(from_text(path), "t")) == shown


def test_entries_that_a_star_hides_are_hidden_with_their_keys() -> None:
    rules = Redaction(read_paths(["seats.*"]))

    assert to_text(rules.path(("seats", "Ann", "n"))) == 'seats."********"."********"'
    assert rules.path(("other", "Ann")) == ("other", "Ann")


def test_without_rules_every_name_is_shown() -> None:
    assert Redaction().path(("o", "user5@example.com")) == ("o", "user5@example.com")


def test_where_all_types_are_one_subject_it_hides_what_any_of_them_does() -> None:
    rules = Redaction(subjects={"t": read_paths(["customer"])}, together="events")

    assert rules.path(("customer", "name"), "events") == ("customer", MASK)
    assert rules.path(("customer", "name"), "other") == ("customer", "name")


def test_stored_documents_are_masked_with_what_they_keep_aside() -> None:
    rules = Redaction(read_paths(["_id", "customer.email", "id"]))
    document = {
        "_id": "0a1b",
        "id": "4711",
        "customer": {"email": SECRET, "age": 3},
        "schema_version": 1,
        "_meta": {"key": "4711", "shadowed": [{"name": "_id", "value": SECRET}], "subject": "t"},
    }

    masked = rules.document(document, "t")

    assert masked["_id"] == "0a1b"
    assert masked["customer"] == {"email": MASK, "age": 3}
    assert masked["_meta"] == {
        "key": MASK,
        "shadowed": [{"name": "_id", "value": MASK}],
        "subject": "t",
    }
    assert document["id"] == "4711"


def test_settings_of_all_and_of_one_subject_come_together(tmp_path: Any) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[subjects."t"]\nredact = ["email"]\n[subjects."*"]\nredact = ["ip"]\n')
    rules = redaction(load({}, {"CXONE_REDACT": 'name, a."b, c"'}, config_file=file))
    body = b'{"name":1,"a":{"b, c":2},"email":3,"ip":4}'

    assert shown(body, rules, "t").count(MASK) == 4
    assert shown(body, rules, "u") == (
        '{"name":"********","a":{"b, c":"********"},"email":3,"ip":"********"}'
    )
    assert shown(body, rules).count(MASK) == 4


def test_a_text_that_is_no_path_is_said() -> None:
    with pytest.raises(SetupError, match=r"CXONE_REDACT: 'a..b' is not a path"):
        redaction(load({}, {"CXONE_REDACT": "a..b"}))


def test_nothing_is_masked_where_nothing_is_set() -> None:
    rules = redaction(load({}, {}))

    assert not rules
    assert rules.body(b'{"name":"Ann"}').spans == ()


def test_ids_are_masked_by_every_place_that_one_may_come_from(tmp_path: Path) -> None:
    toml = tmp_path / "cxone.toml"
    toml.write_text('[sources.ivr]\npreset = "ivr-log"\nsecret = "a token of the ivr"\n')
    settings = {"CXONE_ID_FIELD": '["a", "/b/c"]', "CXONE_CONFIG": str(toml)}

    for hidden in ("a", "b", "/b/c", "contactId", "actionSequence", "**.contactid"):
        assert (
            redaction(load({**settings, "CXONE_REDACT": hidden}, {})).event_id('["1", 7]') == MASK
        )
    for shown in ("id", "c", "b.d"):
        masks = redaction(load({**settings, "CXONE_REDACT": shown}, {}))
        assert masks.event_id('["1", 7]') == '["1", 7]'
    assert redaction(load({**settings, "CXONE_REDACT": "a"}, {})).event_id(None) is None
