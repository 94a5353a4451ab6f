"""Each value of a stored event says whether it was sent, filled at ingest, or backfilled."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from consumer.console.event_rows import EventRow, marked
from consumer.schemas.model import Field, SchemaVersion
from consumer.schemas.policy import subject_policy

NOW = datetime(2026, 5, 1, tzinfo=timezone.utc)
DEFAULTS = subject_policy(typed=True).defaults


def head(*fields: tuple[str, int]) -> SchemaVersion:
    made = tuple(Field(tuple(path.split(".")), since, {"string": since}) for path, since in fields)
    return SchemaVersion("s", max(since for _, since in fields), made, (), NOW)


def rows(document: dict[str, Any], version: SchemaVersion | None) -> dict[str, EventRow]:
    found = marked(document, document, version, DEFAULTS)
    return {row.path: row for row in found.rows}


def stored(payload: dict[str, Any], version: int, upto: int, **meta: Any) -> dict[str, Any]:
    return {**payload, "schema_version": version, "_meta": {"backfilled_to": upto, **meta}}


def test_origins_follow_from_positions_and_versions() -> None:
    version = head(("a", 1), ("b", 1), ("c", 2), ("d", 3))

    found = rows(stored({"a": "x", "b": None, "c": None, "d": "sent"}, 1, 2, filled=[1]), version)

    # What is newer than the event was filled to can only have been sent.
    marks = {path: row.mark for path, row in found.items()}
    assert marks == {"a": "sent", "b": "filled", "c": "backfilled", "d": "sent"}
    assert [row.since for row in found.values()] == [1, 1, 2, 3]


def test_what_lies_below_a_filled_object_is_filled_with_it() -> None:
    version = head(("a", 1), ("a.b", 1))

    found = rows(stored({"a": {"b": "", "odd": [1]}}, 1, 1, filled=[0, 1]), version)

    assert {row.mark for row in found.values()} == {"filled"}


def test_what_a_guard_kept_out_of_the_schema_counts_as_sent() -> None:
    version = head(("a", 1), ("b", 2), ("c", 2), ("d", 1))

    found = rows(
        stored({"a": "x", "b": "y", "c": "", "d": ""}, 1, 2, untracked=1, filled=[3]), version
    )

    # Nobody can tell what a backfill filled here, but what was filled at ingest is listed.
    assert [found[name].mark for name in "abcd"] == ["sent", "sent", "sent", "filled"]


def test_keys_of_maps_and_items_of_lists_know_their_field() -> None:
    version = head(("m", 1), ("m.*", 2), ("l", 1), ("l.[]", 3))

    found = marked(
        stored({"m": {"x": 1}, "l": [7]}, 3, 3), {"m": {"x": 1}, "l": [7]}, version, DEFAULTS
    )

    assert [(row.name, row.depth, row.since) for row in found.rows] == [
        ("m", 0, 1),
        ("x", 1, 2),
        ("l", 0, 1),
        ("[0]", 1, 3),
    ]


def test_without_a_schema_all_was_sent_and_long_events_are_cut() -> None:
    payload = {"l": list(range(5000)), "text": "x" * 5000}

    found = marked(stored(payload, 0, 0), payload, None, DEFAULTS)

    assert (len(found.rows), found.cut) == (1000, True)
    assert found.counts == {"sent": 1000, "filled": 0, "backfilled": 0}
    assert rows(stored({"text": "x" * 5000}, 0, 0), None)["text"].value.endswith("…")


def test_a_hidden_object_shows_nothing_of_what_is_in_it() -> None:
    document = stored({"a": {"b": "secret"}}, 1, 1)

    found = marked(document, {**document, "a": "********"}, head(("a", 1)), DEFAULTS)

    assert [(row.path, row.value) for row in found.rows] == [("a", '"********"')]
