"""A field that an event lacks is filled from another one, by a copy that shares nothing with it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.paths import from_text
from consumer.events.constraints import EVERYTHING
from consumer.schemas.check import Check, CompiledSchema, compile_schema
from consumer.schemas.defaults import Filled, fill, unfill
from consumer.schemas.fillable import size_of
from consumer.schemas.manual_changes import alias, alias_value
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Defaults
from consumer.schemas.registry.registry import Admission
from tests.support.aliases import aliased, bson_size, defaults, model, payloads
from tests.support.strategies import NOW, learn, values

Document = dict[str, Any]


def admitted(schema: CompiledSchema, payload: Document) -> Admission:
    check = schema.check(payload)
    return Admission(schema.number, check.exhibited, gaps=check.gaps, aliases=schema.aliases)


def filled(schema: CompiledSchema, payload: Document) -> tuple[Document, Filled]:
    made = copy.deepcopy(payload)
    return made, fill(made, admitted(schema, made))


def schema(
    *aliases: tuple[str, str], of: Any, values: Any = (), filling: Defaults | None = None
) -> CompiledSchema:
    head: SchemaVersion = learn(of)
    for old, new in aliases:
        head = alias(head, from_text(old), from_text(new), NOW) or head
    for old, text in dict(values).items():
        head = alias_value(head, from_text(old), text, NOW) or head
    return compile_schema(head, filling)


def containers(value: Any) -> Iterator[int]:
    if isinstance(value, dict | list):
        yield id(value)
        for each in value.values() if isinstance(value, dict) else value:
            yield from containers(each)


@given(aliased(), payloads, defaults)
def test_filling_is_what_the_model_says_and_is_undone_without_a_trace(
    head: SchemaVersion, payload: Document, filling: Defaults
) -> None:
    laid_out = compile_schema(head, filling)

    made, done = filled(laid_out, payload)

    assert made == model(payload, head, filling)
    seen = list(containers(made))
    assert len(seen) == len(set(seen))
    undone = copy.deepcopy(made)
    unfill(undone, done.positions, head)
    assert undone == payload
    assert done.positions == sorted(set(done.positions))


@given(aliased(), payloads, defaults, st.sets(st.integers(0, 12)))
def test_another_try_fills_without_some_of_it(
    head: SchemaVersion, payload: Document, filling: Defaults, without: set[int]
) -> None:
    laid_out, made = compile_schema(head, filling), copy.deepcopy(payload)

    again = fill(made, admitted(laid_out, made), without)
    assert without.isdisjoint(again.positions)
    made = copy.deepcopy(payload)
    none = fill(made, admitted(laid_out, made), EVERYTHING)
    assert (made, none.positions) == (payload, [])


def test_an_alias_fills_a_field_beyond_the_bound() -> None:
    laid_out = schema(("case.id", "n"), of=[OLD], filling=Defaults(max_fields=0))
    made = {"n": 3}

    fill(made, admitted(laid_out, made))
    assert made == {"n": 3, "case": {"id": 3}}


@given(values)
def test_a_size_is_what_bson_says(value: Any) -> None:
    assert size_of(value) == bson_size(value)


OLD: Any = {"id": "1", "case": {"id": 1, "status": "x", "owner": {"name": "n"}}, "rate": 1.5}


@pytest.mark.parametrize(
    ("aliases", "payload", "expected"),
    [
        # The whole object, then filled downwards; what the field does not know comes along.
        (
            [("case", "contact")],
            {"contact": {"id": 2, "new": [1]}},
            {"case": {"id": 2, "new": [1], "status": None, "owner": None}},
        ),
        # Of a type that the field does not know: the default stands.
        ([("case", "contact")], {"contact": [1]}, {"case": None}),
        ([("case.id", "contact.id")], {"case": {}, "contact": {"id": 1.5}}, {"case.id": None}),
        ([("rate", "price")], {"price": 3}, {"rate": 3}),
        # A part of another type is left out, and filled as if it were absent.
        (
            [("case", "contact")],
            {"contact": {"id": "two", "status": "y", "owner": {"name": 5}}},
            {"case": {"status": "y", "id": None, "owner": {"name": None}}},
        ),
        # Null is something that was sent.
        ([("rate", "price")], {"price": None}, {"rate": None}),
        ([("rate", "price")], {"price": 3, "rate": None}, {"rate": None}),
        # Parents are made, but never over what was sent.
        (
            [("case.owner.name", "agent")],
            {"agent": "a"},
            {"case": {"owner": {"name": "a"}, "id": None, "status": None}},
        ),
        ([("case.owner.name", "agent")], {"agent": "a", "case": None}, {"case": None}),
        ([("case.owner.name", "agent")], {"agent": "a", "case": 5}, {"case": 5}),
        ([("case.owner.name", "agent.names")], {"agent": ["a"]}, {"case": None}),
    ],
)
def test_what_becomes_of_an_event(aliases: Any, payload: Any, expected: Any) -> None:
    made, _ = filled(schema(*aliases, of=[OLD]), payload)

    for text, value in expected.items():
        found: Any = made
        for key in from_text(text):
            found = found[key]
        assert found == value


def test_a_copy_shares_nothing_with_what_it_was_copied_from() -> None:
    laid_out = schema(("case", "contact"), of=[{"case": {"tags": ["x"], "more": {}}}])
    sent = {"contact": {"tags": ["y"], "unknown": {"a": [1]}, "more": {"b": {}}}}

    made, _ = filled(laid_out, sent)

    assert made["case"] == made["contact"] == sent["contact"]
    assert set(containers(made["case"])).isdisjoint(containers(made["contact"]))


def test_the_order_is_alias_value_mapping_typed_null() -> None:
    mapped = Defaults(typed=True, values={("rate",): 9.0})
    both = schema(("rate", "price"), of=[OLD], values={"rate": "4"}, filling=mapped)
    value = schema(of=[OLD], values={"rate": "4"}, filling=mapped)

    assert filled(both, {"price": 3})[0]["rate"] == 3
    assert filled(both, {"price": "no"})[0]["rate"] == 4
    assert filled(value, {"price": 3})[0]["rate"] == 4
    assert filled(schema(("rate", "price"), of=[OLD], filling=mapped), {})[0]["rate"] == 9.0
    assert filled(schema(of=[OLD], filling=Defaults(typed=True)), {})[0]["rate"] == 0
    assert filled(schema(of=[OLD]), {})[0]["rate"] is None


def test_nothing_is_filled_where_nobody_wants_filling() -> None:
    nothing = Defaults(nothing=True)
    made, done = filled(schema(("rate", "price"), of=[OLD], filling=nothing), {"price": 3})

    assert (made, done.positions, done.left_out) == ({"price": 3}, [], True)


def test_copies_of_one_event_share_the_bound_of_growth() -> None:
    two = {"a": None, "b": None}
    bound = Defaults(max_bytes=26 + 2 * 100)
    made, _ = filled(
        schema(("a", "x"), ("b", "y"), of=[two], filling=bound),
        {"x": "1" * 80, "y": "2" * 90, "z": "3" * 80},
    )
    assert (made["a"], made["b"]) == ("1" * 80, None)

    made, _ = filled(
        schema(("a", "x"), ("b", "y"), of=[two], filling=bound), {"x": "1" * 80, "y": "2" * 70}
    )
    assert (made["a"], made["b"]) == ("1" * 80, "2" * 70)


def test_a_payload_exhibits_no_more_by_its_aliases() -> None:
    laid_out = schema(("case", "contact"), of=[OLD, {"contact": {"id": 2}}])
    payload = {"contact": {"id": 2}}

    assert laid_out.check(payload).exhibited == 2
    assert laid_out.number == 3


def test_a_check_by_itself_knows_no_aliases() -> None:
    assert Check().aliases is None
    assert schema(of=[OLD]).aliases is None


def test_a_schema_without_aliases_in_force_has_none_to_look_at() -> None:
    head = learn([OLD])
    made = alias(head, ("rate",), ("price",), NOW)
    assert made is not None

    assert compile_schema(made).aliases is not None
    assert compile_schema(head).aliases is None
