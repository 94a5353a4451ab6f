"""Changes and their classes, and what contracts and guards make of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from itertools import permutations
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.paths import to_text
from consumer.schemas.admission import Candidate, Decision, Quota, cause, decide, recorded_changes
from consumer.schemas.check import compile_schema
from consumer.schemas.model import Change, SchemaVersion, from_document, shape_of
from consumer.schemas.policy import Contract, Guards, SubjectPolicy
from tests.support.strategies import judge, learn, payloads

HOLD_NEW = SubjectPolicy(contract=Contract(on_new_field="hold"))
HOLD_CONFLICT = SubjectPolicy(contract=Contract(on_type_conflict="hold"))


def steps(before: list[dict[str, Any]], payload: dict[str, Any]) -> list[tuple[str, str]]:
    """The changes that `payload` makes after those before it, as (class, path)."""
    version = judge(learn(before), payload).next
    return [(change.kind, to_text(change.path)) for change in version.changes] if version else []


@pytest.mark.parametrize(
    ("before", "payload", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": "x"}, [("field_added", "b")]),
        ({"a": 1}, {"a": 2}, []),
        ({"a": 1}, {}, []),
        ({"a": 1}, {"a": None}, []),
        ({"a": 1}, {"b": None}, [("field_added", "b")]),
        ({"a": None}, {"a": "x"}, [("type_widened", "a")]),
        ({"a": None}, {"a": {"b": 1}}, [("type_widened", "a"), ("field_added", "a.b")]),
        ({"a": []}, {"a": [1]}, [("type_widened", "a[]")]),
        ({"a": []}, {"a": [None]}, [("type_widened", "a[]")]),
        ({"a": [None]}, {"a": [1]}, [("type_widened", "a[]")]),
        ({"a": "x"}, {"a": [1]}, [("type_conflict", "a"), ("field_added", "a[]")]),
        ({"a": []}, {"a": {}}, [("type_widened", "a")]),
        ({"a": {}}, {"a": []}, [("type_widened", "a")]),
        ({"a": []}, {"a": {"b": 1}}, [("type_widened", "a"), ("field_added", "a.b")]),
        ({"a": {"b": 1}}, {"a": []}, [("type_widened", "a")]),
        ({"a": [{}, []]}, {"a": [{}, [1]]}, [("type_conflict", "a[][]")]),
        ({"a": [{}]}, {"a": [[]]}, [("type_widened", "a[]")]),
        ({"a": {}}, {"a": [1]}, [("type_conflict", "a"), ("field_added", "a[]")]),
        ({"a": {}}, {"a": [None]}, [("type_conflict", "a"), ("field_added", "a[]")]),
        ({"a": [1]}, {"a": {}}, [("type_conflict", "a")]),
        ({"a": [None]}, {"a": {}}, [("type_conflict", "a")]),
        ({"a": "x"}, {"a": []}, [("type_conflict", "a")]),
        ({"a": 1}, {"a": 1.5}, [("type_widened", "a")]),
        ({"a": 1.5}, {"a": 12}, []),
        ({"a": 1.0}, {"a": 1}, []),
        ({"a": 1}, {"a": "x"}, [("type_conflict", "a")]),
        ({"a": 1}, {"a": True}, [("type_conflict", "a")]),
        ({"a": True}, {"a": 1}, [("type_conflict", "a")]),
        ({"a": [1]}, {"a": [1, "x"]}, [("type_conflict", "a[]")]),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, [("field_added", "a.c")]),
        ({"a": {"*": 1}}, {"a": {"b": 1}}, [("field_added", "a.b")]),
        ({"a": {"b": 1}}, {"a.b": 1}, [("field_added", '"a.b"')]),
    ],
)
def test_a_change_has_its_class(
    before: dict[str, Any], payload: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert steps([before], payload) == expected


@pytest.mark.parametrize("first", [{"a": []}, {"a": {}}])
def test_the_first_item_at_a_path_that_knows_object_and_empty_array_is_the_conflict(
    first: dict[str, Any],
) -> None:
    before = [first, {"a": []}, {"a": {}}]

    assert steps(before, {"a": [1]}) == [("type_conflict", "a[]")]
    assert judge(learn(before), {"a": [1]}, policy=HOLD_CONFLICT).held
    assert not judge(learn([first]), {"a": before[1]["a"]}, policy=HOLD_CONFLICT).held


# One type at a path of one event: a list that mixes types has them all at once, none comes later.
one_type = st.recursive(
    st.sampled_from([[], {}, [None], [[]], [{}], 1, 1.5, "x"]),
    lambda below: st.lists(below, max_size=1) | st.fixed_dictionaries({}, optional={"b": below}),
    max_leaves=2,
)


def announces_conflict(events: Iterable[dict[str, Any]]) -> bool:
    """True where one of the versions that the events make in turn names a type conflict."""
    head: SchemaVersion | None = None
    found = False
    for payload in events:
        made = judge(head, payload).next
        found |= made is not None and any(each.kind == "type_conflict" for each in made.changes)
        head = made or head
    return found


@given(st.lists(st.fixed_dictionaries({"a": one_type}), min_size=2, max_size=4))
def test_a_conflict_is_announced_in_every_order_of_the_same_events_or_in_none(
    events: list[dict[str, Any]],
) -> None:
    assert len(set(map(announces_conflict, permutations(events)))) == 1


def test_an_empty_array_beside_a_map_widens_it() -> None:
    by_address = {"p": {"user5@example.com": {"role": "agent"}}}

    assert steps([by_address], {"p": []}) == [("type_widened", "p")]
    assert steps([{"p": []}], by_address) == [
        ("type_widened", "p"),
        ("became_map", "p.*"),
        ("field_added", "p.*.role"),
    ]


def test_string_and_number_after_integer_is_one_conflict() -> None:
    assert steps([{"a": [1]}], {"a": [1.5, "x"]}) == [("type_conflict", "a[]")]


def test_number_after_integer_and_string_widens() -> None:
    assert steps([{"a": 1}, {"a": "x"}], {"a": 1.5}) == [("type_widened", "a")]


def test_integers_keep_exhibiting_the_version_that_knew_them() -> None:
    schema = compile_schema(learn([{"a": 1}, {"a": 1.5}]))

    assert schema.check({"a": 12}).exhibited == 1
    assert schema.check({"a": 12.5}).exhibited == 2


def test_keys_that_look_like_ids_make_a_map_at_first_sight() -> None:
    version = learn([{"m": {"6f1b9a2e-0d0c-4f57-9a0c-0242ac120002": {"n": 1}}}])

    assert [to_text(field.path) for field in version.fields] == ["m", "m.*", "m.*.n"]
    assert [change.kind for change in version.changes] == [
        "field_added",
        "became_map",
        "field_added",
    ]


def test_the_hundred_and_first_homogeneous_key_makes_a_map() -> None:
    wide = [{"m": {f"k{n}": {"n": n} for n in range(start, start + 50)}} for start in (0, 50)]

    assert steps(wide, {"m": {"k7": {"n": 1}}}) == []
    assert steps(wide, {"m": {"new": {"n": 1}}}) == [("became_map", "m.*")]


def test_a_map_inherits_the_lowest_since_for_each_type_and_positions_stay() -> None:
    first = {"m": {f"k{n}": n for n in range(60)}}
    second = {"m": {f"k{n}": n for n in range(40, 100)} | {"k3": 1.5}}
    before = learn([first, second])
    third = {"m": {"x": 1}}

    version = learn([first, second, third])

    star = version.fields[-1]
    assert star.path == ("m", "*")
    assert star.since == 1
    assert star.types == {"integer": 1, "number": 2}
    assert [f.path for f in version.fields[:-1]] == [f.path for f in before.fields]
    assert {f.absorbed for f in version.fields[1:-1]} == {3}


def test_a_map_that_brings_another_type_is_a_conflict_too() -> None:
    keys = {f"k{n}": {"n": 1} for n in range(100)}

    assert steps([{"m": keys}], {"m": {"new": {"n": "x"}}}) == [
        ("became_map", "m.*"),
        ("type_conflict", "m.*.n"),
    ]


def test_a_map_of_maps_is_announced_once_for_each() -> None:
    inner = {str(4711 + n): 1 for n in range(3)}
    wide = [{"m": {f"k{n}": inner for n in range(100)}}]

    assert steps(wide, {"m": {"new": inner}}) == [("became_map", "m.*")]


@pytest.mark.parametrize(
    ("policy", "payload", "held"),
    [
        (HOLD_NEW, {"a": 1, "b": 1}, True),
        (HOLD_NEW, {"a": "x"}, False),
        (HOLD_NEW, {"a": 1.5}, False),
        (HOLD_NEW, {"m": {str(4711): 1, str(4712): 1}}, True),
        (HOLD_CONFLICT, {"a": "x"}, True),
        (HOLD_CONFLICT, {"a": 1.5, "b": 1}, False),
        (HOLD_CONFLICT, {"o": "x"}, False),
        (HOLD_CONFLICT, {"b": 1, "a": "x"}, True),
    ],
)
def test_contracts_hold_what_they_name(
    policy: SubjectPolicy, payload: dict[str, Any], held: bool
) -> None:
    head = learn([{"a": 1, "m": {}, "o": None}])

    decision = judge(head, payload, policy=policy)

    assert bool(decision.held) is held
    assert (decision.next is None) is held


def test_one_held_change_holds_all_and_names_all() -> None:
    decision = judge(learn([{"a": 1}]), {"a": "x", "b": 1}, policy=HOLD_CONFLICT)

    assert [change.kind for change in decision.held] == ["type_conflict", "field_added"]
    assert decision.held[0].to_document() == {
        "class": "type_conflict",
        "path": ["a"],
        "from": ["integer"],
        "to": ["integer", "string"],
        "caused_by": "event-1",
    }


def test_version_1_is_always_admitted() -> None:
    assert judge(None, {"a": 1}, policy=HOLD_NEW).next is not None


def test_paths_are_registered_up_to_the_limit_shallow_first() -> None:
    deep = {"o": {f"k{n}": n for n in range(10)}, "a": 1, "b": 2}

    decision = judge(None, deep, guards=Guards(paths_per_subject=5))

    assert decision.guard == "paths_per_subject"
    assert decision.next is not None
    assert [to_text(f.path) for f in decision.next.fields] == ["o", "o.k0", "o.k1", "a", "b"]


def test_a_full_subject_still_widens() -> None:
    guards = Guards(paths_per_subject=1)

    decision = judge(learn([{"a": 1}]), {"a": 1.5, "b": 1}, guards=guards)

    assert decision.guard == "paths_per_subject"
    assert decision.next is not None
    assert [field.path for field in decision.next.fields] == [("a",)]


def test_an_event_is_read_to_its_limit_of_paths() -> None:
    decision = judge(None, {f"k{n}": n for n in range(50)}, guards=Guards(paths_per_event=20))

    assert decision.guard == "paths_per_event"
    assert decision.next is not None
    assert len(decision.next.fields) == 20


def test_absorbed_entries_cannot_grow_a_version_without_end() -> None:
    guards = Guards(paths_per_subject=110, map_children=10)
    head = None
    for n in range(60):
        for keys in (range(10), range(10, 11)):
            decision = judge(head, {f"o{n}": {f"k{k}": 1 for k in keys}}, guards=guards)
            head = decision.next or head

    assert head is not None
    assert 200 < len(head.fields) <= 220
    assert len(head.live) < 110


def test_a_path_longer_than_can_be_stored_is_left_out_with_all_below_it() -> None:
    decision = judge(None, {"a": 1, "k" * 2000: {"b": 1}})

    assert decision.guard == "path_bytes"
    assert decision.next is not None
    assert [field.path for field in decision.next.fields] == [("a",)]


@pytest.mark.parametrize(
    ("guards", "payload", "within"),
    [
        # Bytes of UTF-8 over all segments: 2 + 3 x 2 = 8.
        (Guards(path_bytes=8), {"ab": {"ééé": 1}}, True),
        (Guards(path_bytes=7), {"ab": {"ééé": 1}}, False),
        (Guards(depth=2), {"a": {"b": 1}}, True),
        (Guards(depth=1), {"a": {"b": 1}}, False),
        (Guards(paths_per_event=3), {"a": 1, "b": 1, "c": 1}, True),
        (Guards(paths_per_event=2), {"a": 1, "b": 1, "c": 1}, False),
        (Guards(paths_per_subject=3), {"a": 1, "b": 1, "c": 1}, True),
        (Guards(paths_per_subject=2), {"a": 1, "b": 1, "c": 1}, False),
    ],
)
def test_each_guard_lets_in_as_much_as_it_says_and_not_one_more(
    guards: Guards, payload: dict[str, Any], within: bool
) -> None:
    assert (judge(None, payload, guards=guards).guard is None) == within


def test_a_closed_quota_registers_nothing() -> None:
    head = learn([{"a": 1}])

    assert judge(head, {"b": 1}, quota=Quota(version=False)).guard == "versions_per_hour"
    assert judge(head, {"b": 1}, quota=Quota(version=False)).next is None
    assert judge(None, {"b": 1}, quota=Quota(subject=False)).guard == "subjects"


def test_the_contract_comes_before_the_guards() -> None:
    decision = judge(
        learn([{"a": 1}]), {"a": "x"}, policy=HOLD_CONFLICT, quota=Quota(version=False)
    )

    assert decision.held
    assert decision.guard is None


@given(st.lists(payloads, min_size=1, max_size=5))
def test_what_was_learned_is_known_and_nothing_is_learned_twice(
    events: list[dict[str, Any]],
) -> None:
    head = learn(events)
    schema = compile_schema(head)

    for event in events:
        check = schema.check(event)
        assert check.unknown == 0
        assert 1 <= check.exhibited <= head.number
        assert judge(head, event).next is None


@given(st.lists(payloads, min_size=2, max_size=5))
def test_versions_only_append_and_keep_every_since(events: list[dict[str, Any]]) -> None:
    head: SchemaVersion | None = None
    for event in events:
        version = judge(head, event).next
        if version is None:
            continue
        assert version.number == (head.number if head else 0) + 1
        assert version.changes or version.number == 1
        for old, new in zip(head.fields if head else (), version.fields, strict=False):
            assert (new.path, new.since) == (old.path, old.since) or new.path[-1] == "*"
            assert old.types.items() <= new.types.items() or "*" in new.path
        live = [field.path for field in version.live]
        assert len(live) == len(set(live))
        assert all(field.since == version.number for field in _added(head, version))
        head = version


def _added(head: SchemaVersion | None, version: SchemaVersion) -> list[Any]:
    added = version.fields[len(head.fields) if head else 0 :]
    return [field for field in added if "*" not in field.path]


@given(st.lists(payloads, min_size=1, max_size=4))
def test_a_version_reads_back_from_its_document(events: list[dict[str, Any]]) -> None:
    version = learn(events)

    assert from_document(version.to_document()) == version
    assert shape_of(from_document(version.to_document())) == shape_of(version)


def test_changes_count_in_the_size_of_a_version() -> None:
    # Keys and an id of the largest that are recorded, in characters of four bytes.
    payload = {f"{number:04}" + "\U0001f600" * 250: number for number in range(2000)}
    candidate = Candidate("t", payload, cause("\U0001f600" * 300))

    def decided(bound: int) -> Decision:
        return decide(
            None,
            candidate,
            number=1,
            policy=SubjectPolicy(),
            guards=Guards(version_bytes=bound),
            quota=Quota(),
            now=datetime(2026, 1, 1, tzinfo=timezone.utc),
        )

    # Its fields alone are 2.2 MB.
    assert decided(6_000_000).guard == "paths_per_subject"
    fits = decided(8_000_000).next
    assert fits is not None
    assert 6_000_000 < len(bson.encode(fits.to_document())) < 8_000_000


def test_a_hold_tells_a_bounded_part_of_its_changes() -> None:
    many = [Change("field_added", (f"field {n}",), None, 2, "event-1") for n in range(5000)]
    long = [Change("field_added", ("x" * 1000,), None, 2, "event-1") for _ in range(5000)]

    assert recorded_changes(many[:7]) == [change.to_document() for change in many[:7]]
    assert recorded_changes(many) == [change.to_document() for change in many[:100]]
    assert 20 < len(recorded_changes(long)) < 30
    assert len(bson.encode({"changes": recorded_changes(long)})) < 32 * 1024
