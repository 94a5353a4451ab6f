"""Aliases are part of versions: people set and end them, and all that follows keeps them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from consumer.core.errors import SetupError
from consumer.core.paths import ERASED, from_text
from consumer.schemas.evolution import diff
from consumer.schemas.manual_changes import (
    alias,
    alias_value,
    erase_names,
    renumbered,
    retire,
    unalias,
    unmap,
)
from consumer.schemas.model import Alias, SchemaVersion, from_document, is_by_hand
from tests.support.strategies import judge, learn

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)
PAYLOAD: Any = {
    "id": "1",
    "case": {"id": 1, "owner": {"name": "x"}},
    "rate": 1.5,
    "open": None,
    "tags": [{"a": 1}],
    "_id": "shadowed",
}


@pytest.fixture
def head() -> SchemaVersion:
    return learn([PAYLOAD, {"metrics": {f"m{n}@x.example": 1 for n in range(150)}}])


def aliased(head: SchemaVersion, old: str, new: str) -> SchemaVersion:
    made = alias(head, from_text(old), from_text(new), NOW)
    assert made is not None
    return made


def valued(head: SchemaVersion, old: str, text: str) -> SchemaVersion:
    made = alias_value(head, from_text(old), text, NOW)
    assert made is not None
    return made


def ended(head: SchemaVersion, old: str) -> SchemaVersion:
    made = unalias(head, from_text(old), NOW)
    assert made is not None
    return made


def test_an_alias_is_a_version_by_hand_that_adds_no_path_and_no_type(head: SchemaVersion) -> None:
    made = aliased(head, "case", "contact")

    assert made.number == head.number + 1
    assert made.fields == head.fields
    assert made.aliases == (Alias(("case",), ("contact",), None, made.number),)
    assert [change.kind for change in made.changes] == ["alias_added"]
    assert is_by_hand(made.changes)
    assert made.newest_added == head.newest_added


def test_it_is_fillable_in_its_own_version_whatever_the_since_of_its_field(
    head: SchemaVersion,
) -> None:
    made = aliased(head, "case.id", "contact.id")

    assert made.newest_fillable == made.due == made.number > head.newest_fillable
    assert ended(made, "case.id").due == head.due


def test_versions_with_aliases_are_read_back_as_they_were_written(head: SchemaVersion) -> None:
    made = ended(valued(valued(aliased(head, "case", "contact"), "rate", "2"), "open", "x"), "rate")

    document = made.to_document()
    assert document["aliases"] == [
        {"old": ["case"], "from": ["contact"], "since": 3},
        {"old": ["rate"], "value": 2, "since": 4, "until": 6},
        {"old": ["open"], "value": "x", "since": 5},
    ]
    assert from_document(document) == made
    assert "aliases" not in head.to_document()


def test_all_versions_that_follow_keep_the_aliases(head: SchemaVersion) -> None:
    made = aliased(head, "case", "contact")
    following = [
        judge(made, {"new": 1}).next,
        retire(made, ("rate",), NOW),
        unmap(made, ("metrics",), NOW),
        renumbered(made, made.number + 2, 0, NOW),
        erase_names(made, lambda key: key == "owner", NOW),
    ]

    assert [each and each.aliases for each in following] == [made.aliases] * 5


def test_the_end_of_an_alias_is_kept_and_stops_nothing_else(head: SchemaVersion) -> None:
    made = aliased(head, "case", "contact")
    end = ended(made, "case")

    assert end.aliases == (Alias(("case",), ("contact",), None, made.number, end.number),)
    assert end.aliases_in_force == ()
    assert [change.kind for change in end.changes] == ["alias_removed"]
    assert unalias(end, ("case",), NOW) is None
    again = aliased(end, "case", "contact")
    assert again.aliases_in_force == (Alias(("case",), ("contact",), None, again.number),)


def test_the_same_alias_twice_is_one(head: SchemaVersion) -> None:
    made = valued(aliased(head, "case", "contact"), "rate", "2")

    assert alias(made, ("case",), ("contact",), NOW) is None
    assert alias_value(made, ("rate",), "2", NOW) is None


def test_a_field_may_have_a_value_beside_the_field_that_fills_it(head: SchemaVersion) -> None:
    made = valued(aliased(head, "rate", "price"), "rate", "2")

    assert [each.new for each in made.aliases_in_force] == [("price",), None]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("case", "case"),
        ("case", "case.id"),
        ("case.id", "case"),
        ("_id", "contact"),
        ("case", "_meta"),
        ("case", '"$where"'),
        ("tags[].a", "b"),
        ("case", "tags[].a"),
        ("case", "metrics.x"),
        ("metrics.*", "b"),
        ("unknown", "b"),
        # Beside those that are there: rate <- price.
        ("rate", "cost"),
        ("case", "rate"),
        ("case", "rate.x"),
        ("case.owner", "open.x"),
        ("open.x", "y"),
    ],
)
def test_an_alias_that_would_be_ambiguous_or_go_round_is_refused(
    head: SchemaVersion, old: str, new: str
) -> None:
    there = aliased(aliased(head, "rate", "price"), "open", "case.owner.name")

    with pytest.raises(SetupError):
        alias(there, from_text(old), from_text(new), NOW)
    assert alias(there, ("id",), ("number",), NOW) is not None


def test_a_circle_and_a_chain_are_refused_from_either_end(head: SchemaVersion) -> None:
    there = aliased(head, "case.id", "rate")

    for old, new in (("rate", "case.id"), ("rate", "case"), ("open", "case"), ("rate", "x")):
        with pytest.raises(SetupError, match="chains or circles"):
            alias(there, from_text(old), from_text(new), NOW)


def test_a_retired_field_gets_no_alias_and_one_with_an_alias_is_not_retired(
    head: SchemaVersion,
) -> None:
    gone = retire(head, ("rate",), NOW)
    assert gone is not None
    with pytest.raises(SetupError, match="retired"):
        alias(gone, ("rate",), ("price",), NOW)

    made = aliased(head, "case.id", "contact.id")
    with pytest.raises(SetupError, match="schema unalias"):
        retire(made, ("case",), NOW)


@pytest.mark.parametrize(
    ("old", "text", "value"),
    [
        ("id", "new", "new"),
        # A number is no type that it knows, text is.
        ("id", "12", "12"),
        ("id", '"quoted"', "quoted"),
        ("rate", "12", 12),
        ("rate", "1.5", 1.5),
        ("rate", "null", None),
        ("case", '{"id": 3}', {"id": 3}),
        ("open", "[1]", [1]),
        ("open", "{", "{"),
    ],
)
def test_a_value_is_read_as_a_type_that_the_field_knows(
    head: SchemaVersion, old: str, text: str, value: Any
) -> None:
    made = valued(head, old, text).aliases[-1].value

    assert (made, type(made)) == (value, type(value))


@pytest.mark.parametrize(
    ("old", "text"),
    [
        ("rate", "high"),
        ("case.id", "1.5"),
        ("case.id", str(2**63)),
        ("open", "[" * 20 + "]" * 20),
        ("id", "x" * 5000),
        ("case.id", "true"),
    ],
)
def test_a_value_that_would_add_a_type_or_cannot_be_stored_is_refused(
    head: SchemaVersion, old: str, text: str
) -> None:
    with pytest.raises(SetupError):
        alias_value(head, from_text(old), text, NOW)


def test_aliases_in_all_are_bounded(head: SchemaVersion) -> None:
    made = head
    for _ in range(250):
        made = ended(aliased(made, "rate", "price"), "rate")
        made = ended(aliased(made, "rate", "cost"), "rate")

    with pytest.raises(SetupError, match="500"):
        alias(made, ("rate",), ("price",), NOW)


def test_a_diff_names_aliases_that_came_and_went(head: SchemaVersion) -> None:
    made = valued(aliased(head, "case", "contact"), "rate", "2")
    end = aliased(ended(made, "case"), "case.id", "contact.id")

    assert [(c.kind, c.path) for c in diff(head, made)] == [
        ("alias_added", ("case",)),
        ("alias_added", ("rate",)),
    ]
    assert [(c.kind, c.path) for c in diff(made, end)] == [
        ("alias_removed", ("case",)),
        ("alias_added", ("case", "id")),
    ]
    assert diff(end, end) == []


def test_a_name_that_is_erased_ends_its_alias_and_stands_in_none(head: SchemaVersion) -> None:
    made = aliased(head, "case", '"ann@example.com"')
    gone = erase_names(made, lambda key: key == "ann@example.com", NOW)

    assert gone is not None
    assert gone.aliases == (Alias(("case",), (ERASED,), None, made.number, gone.number),)
    assert [change.kind for change in gone.changes] == ["alias_removed"]
