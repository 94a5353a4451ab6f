"""Decisions of people on a schema are versions like others, and last through all that follow."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from consumer.core.errors import SetupError
from consumer.core.paths import ERASED, from_text, to_segment, to_text
from consumer.schemas.check import compile_schema
from consumer.schemas.defaults import fill, fillings, newer_than, unfill
from consumer.schemas.evolution import diff
from consumer.schemas.manual_changes import erase_names, retire, unmap
from consumer.schemas.model import SchemaVersion, change_of, from_document, shape_of
from consumer.schemas.policy import Defaults
from consumer.schemas.provenance import leaving, remove_fillings
from tests.support.strategies import KEYS, judge, learn

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)
IDS = [f"6f1b9a2e-0d0c-4f57-9a0c-0242ac12000{n}" for n in range(4)]
# Its `m` holds names, then becomes a map with the first id.
NAMED: Any = {"id": "1", "m": {"a": {"x": 1}, "b": {"x": 2}}}


# What `a` is filled with in turn: [], {}, null.
EMPTY: tuple[dict[str, Any], ...] = ({"a": []}, {"a": {}}, {"a": [1]})


def after(head: SchemaVersion, *payloads: dict[str, Any]) -> SchemaVersion:
    for payload in payloads:
        head = judge(head, payload).next or head
    return head


def filled(head: SchemaVersion, payload: dict[str, Any]) -> dict[str, Any]:
    fill(payload, compile_schema(head).check(payload))
    return payload


def retired(head: SchemaVersion, text: str) -> SchemaVersion:
    made = retire(head, from_text(text), NOW)
    assert made is not None
    return made


def undone(head: SchemaVersion, text: str) -> SchemaVersion:
    made = unmap(head, from_text(text), NOW)
    assert made is not None
    return made


def erased(head: SchemaVersion, *names: str) -> SchemaVersion:
    made = erase_names(head, lambda key: key in names, NOW)
    assert made is not None
    return made


def mapped() -> SchemaVersion:
    """A subject whose `m` had two names before 101 keys made it a map."""
    head = learn([NAMED, {"id": "2", "m": {f"k{n}": {"x": n} for n in range(600)}}])
    assert ("m", "*") in {field.path for field in head.live}
    return head


def test_a_retired_field_is_known_but_not_filled_nor_what_is_below_it() -> None:
    head = retired(learn([{"a": {"b": 1, "c": {"d": 1}}, "e": 1}]), "a.c")

    assert filled(head, {"a": {}}) == {"a": {"b": None}, "e": None}
    assert compile_schema(head).check({"a": {"b": 1, "c": {"d": 1}}, "e": 1}).unknown == 0
    assert [(c.kind, c.path) for c in head.changes] == [("field_retired", ("a", "c"))]


def test_whatever_filled_a_retired_field_while_its_types_became_known_is_taken_out() -> None:
    typed = Defaults(typed=True)
    versions = [learn([{"z": 1}, *EMPTY[: n + 1]]) for n in range(len(EMPTY))]
    (gone,) = leaving(retired(versions[-1], "a"), typed, len(EMPTY) + 1)

    for version in versions:
        document: dict[str, Any] = {"z": 1}
        done = fill(document, compile_schema(version, typed).check(document))
        document["_meta"] = {"filled": done.positions}

        assert remove_fillings(document, [gone]) == 0
        assert "a" not in document


def test_what_comes_later_below_a_retired_field_is_retired_with_it() -> None:
    head = after(retired(learn([{"a": {"b": 1}}]), "a"), {"a": {"b": 1, "new": {"deep": 1}}})

    assert filled(head, {"a": {}}) == {"a": {}}
    assert {f.path: f.retired for f in head.fields} == {
        ("a",): 2, ("a", "b"): 2, ("a", "new"): 3, ("a", "new", "deep"): 3,
    }  # fmt: skip


def test_retiring_twice_is_retiring_once_and_a_path_that_is_not_known_is_named() -> None:
    head = retired(learn([{"customer": {"email": "x"}}]), "customer.email")

    assert retire(head, ("customer", "email"), NOW) is None
    with pytest.raises(SetupError, match="has no field"):
        retire(head, ("customer", "emial"), NOW)


def test_a_retired_field_that_is_sent_again_or_wider_stays_retired() -> None:
    head = after(retired(learn([{"a": 1}]), "a"), {"a": "text", "b": 1})

    assert [(f.path, f.retired) for f in head.live] == [(("a",), 2), (("b",), None)]
    assert filled(head, {}) == {"b": None}


def test_an_undone_map_has_its_names_again_and_never_becomes_a_map() -> None:
    before = mapped()
    head = undone(before, "m")

    assert [to_text(f.path) for f in head.live] == ["id", "m", "m.a", "m.a.x", "m.b", "m.b.x"]
    assert [f.path for f in head.fields] == [f.path for f in before.fields]
    assert [f.since for f in head.fields] == [f.since for f in before.fields]
    later = after(
        head, {"m": {key: {"x": 1} for key in IDS}}, {"m": {f"k{n}": 1 for n in range(700)}}
    )
    assert ("m", "*") not in {field.path for field in later.live}
    assert ("m", IDS[0]) in {field.path for field in later.live}


def test_a_map_of_ids_that_was_undone_keeps_its_ids_as_names() -> None:
    head = undone(learn([{"m": {IDS[0]: 1}}]), "m")

    later = after(head, {"m": {IDS[1]: 1}}, {"m": {IDS[2]: 1, IDS[3]: 1}})

    assert [to_text(f.path) for f in later.live] == ["m", *(f"m.{key}" for key in IDS[1:])]


def test_names_that_come_back_are_filled_from_the_version_that_brought_them_back() -> None:
    head = undone(mapped(), "m")

    assert head.newest_fillable == head.number == 3
    late = newer_than(compile_schema(head), 2)
    assert fillings(late.root) == 4
    document: dict[str, Any] = {"id": "9", "m": {}}
    fill(document, late.check(document))
    assert document == {"id": "9", "m": {"a": None, "b": None}}


def test_only_what_a_map_took_over_itself_comes_back() -> None:
    # `in` was a map within before `m` became one.
    first: Any = {"m": {"a": {"in": {IDS[0]: 1}}}}
    head = learn([first, {"m": {f"k{n}": {"in": {IDS[1]: 1}} for n in range(600)}}])

    back = undone(head, "m")

    assert [to_text(f.path) for f in back.live] == ["m", "m.a", "m.a.in", "m.a.in.*"]


def test_undoing_a_map_twice_is_undoing_it_once_and_what_is_none_is_named() -> None:
    head = undone(mapped(), "m")

    assert unmap(head, ("m",), NOW) is None
    with pytest.raises(SetupError, match="is not a map"):
        unmap(head, ("id",), NOW)


def test_an_erased_name_leaves_its_entries_in_place_and_is_never_filled_or_matched() -> None:
    before = learn([{"id": "1", "p": {"user5": {"name": "x"}, "b": 1}}])
    head = erased(before, "user5")

    assert "user5" not in str(head.to_document())
    assert [f.erased for f in head.fields] == [None, None, 2, 2, None]
    assert [to_text(f.path) for f in head.fields][2:4] == ["p.(erased)", "p.(erased).name"]
    assert filled(head, {"p": {}}) == {"p": {"b": None}, "id": None}
    assert compile_schema(head).check({"p": {"erased": 1}}).unknown == 1
    # Older documents refer to positions, and a key may be named like what is left.
    document: dict[str, Any] = {"id": "2", "p": {"erased": 1, "\\erased": 2, "b": None}}
    unfill(document, [2, 3, 4], head)
    assert document == {"id": "2", "p": {"erased": 1, "\\erased": 2}}
    assert erase_names(head, lambda key: key == "user5", NOW) is None


@pytest.mark.parametrize("key", [*KEYS, "erased", "\\erased", "\\\\erased", "(erased)"])
def test_no_key_looks_like_an_erased_one(key: str) -> None:
    assert to_segment(key) != ERASED
    if key:
        assert from_text(to_text((to_segment(key),))) == (to_segment(key),)


def test_a_name_is_erased_from_what_a_map_took_over_and_does_not_come_back() -> None:
    head = undone(erased(mapped(), "a"), "m")

    assert [to_text(f.path) for f in head.live] == ["id", "m", "m.b", "m.b.x"]


def test_all_marks_last_through_versions_and_mongodb() -> None:
    head = erased(retired(undone(mapped(), "m"), "m.b"), "a")
    later = after(head, {"new": 1}, {"id": 5})

    read = from_document(later.to_document())
    assert read == later
    assert [f.to_document() for f in read.fields[: len(head.fields)] if f.path != ("id",)] == [
        f.to_document() for f in head.fields if f.path != ("id",)
    ]
    assert later.pinned_objects == {("m",)}


def test_what_a_newer_program_says_of_entries_is_kept_and_ends_in_no_traceback() -> None:
    document = learn([{"a": 1, "b": {"c": 1}}]).to_document()
    document["fields"][0] |= {"alias": ["old"], "weight": {"of": 3}}
    document["fields"][0]["types"]["decimal"] = 1
    document["changes"].append({"class": "field_moved", "path": ["a"], "there": ["b"]})
    document["changes"].append(
        {"class": "field_added", "path": ["a"], "from": ["decimal"], "to": ["x"], "caused_by": "e"}
    )

    read = from_document(document)
    later = after(read, {"a": "text"}, {"d": 1})

    told = later.to_document()["fields"][0]
    assert (told["alias"], told["weight"]) == (["old"], {"of": 3})
    assert told["types"] == {"integer": 1, "decimal": 1, "string": 2}
    assert [change.kind for change in read.changes[-2:]] == ["field_moved", "field_added"]
    assert change_of(read.changes[-1].to_document()) == read.changes[-1]
    assert compile_schema(read).check({"a": 1, "b": {"c": 1}}).unknown == 0


def test_versions_of_people_are_told_when_two_versions_are_compared() -> None:
    first = mapped()
    second = undone(first, "m")
    third = retired(second, "m.b")

    def told(older: SchemaVersion, newer: SchemaVersion) -> list[tuple[str, str]]:
        return [(change.kind, to_text(change.path)) for change in diff(older, newer)]

    back = [("field_added", f"m.{name}") for name in ("a", "a.x", "b", "b.x")]
    assert told(first, second) == [("map_undone", "m"), *back]
    assert told(second, third) == [("field_retired", "m.b"), ("field_retired", "m.b.x")]
    assert told(first, third)[:2] == [("map_undone", "m"), back[0]]
    assert diff(second, second) == []


def test_what_payloads_can_show_ends_with_the_last_path_or_type_that_was_added() -> None:
    head = learn([{"a": 1}, {"a": "x"}])

    assert retired(head, "a").newest_added == 2
    assert shape_of(retired(head, "a")) == shape_of(head)
