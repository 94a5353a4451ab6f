"""The rule that tells filled from sent says the same in this process and in MongoDB."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from bson.int64 import Int64
from pymongo.database import Database

from consumer.schemas.aliases import ABSENT
from consumer.schemas.origin import (
    Leaving,
    Marks,
    is_certain,
    is_likely,
    is_possible,
    without,
)
from consumer.schemas.provenance import left_of

Document = dict[str, Any]
VERSIONS = (ABSENT, None, "odd", True, 2.0, 0, 1, 2, Int64(3))
STAMPS = (ABSENT, "odd", 1, 2, 3)
UNTRACKED = (ABSENT, 0, 1)
LISTED: tuple[Any, ...] = (ABSENT, [], [4], [0, 4, 9], "odd", [None, True, "x", 7])
VALUES = (ABSENT, None, "", "x", False, {"a": None}, {"a": None, "b.c": {"d": "x"}}, [None])
# Known from the first version on, later, revived when a map was undone, and after a loss.
FIELDS = (
    Leaving((), 4, (None, ""), 1),
    Leaving((), 4, (None, ""), 2),
    Leaving((), 4, ({},), 3),
    Leaving((), 4, (None, {}), 3, unsure_below=3),
    Leaving((), 1, (None, False), 3, unsure_below=2),
)
INSIDE = (
    Leaving(("b.c", "d"), 0, (None, "x"), 2),
    Leaving(("a",), 9, (None,), 3, unsure_below=2),
    # Two entries may have one path: what a map took over, and what came after it.
    Leaving(("a",), 5, (None,), 2),
    Leaving(("b.c",), 6, ({},), 2),
    Leaving((), 4, ({}, None), 2),
)


def document(number: int, *marks: Any) -> Document:
    version, upto, untracked, listed, value = marks
    meta = {"backfilled_to": upto, "untracked": untracked, "filled": listed}
    found = {"_meta": meta, "schema_version": version, "v": value}
    return clean({**found, "_id": number, "_meta": clean(meta)})


def clean(document: Document) -> Document:
    return {key: value for key, value in document.items() if value is not ABSENT}


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    marks = product(VERSIONS, STAMPS, UNTRACKED, LISTED, VALUES)
    return [document(number, *each) for number, each in enumerate(marks)]


def test_mongodb_tells_sent_from_filled_as_this_process_does(
    database: Database[Document], documents: list[Document]
) -> None:
    database["events"].insert_many(documents)
    said: Document = {}
    for at, each in enumerate(FIELDS):
        said |= {
            f"certain{at}": is_certain(each),
            f"likely{at}": is_likely(each, "$v"),
            f"possible{at}": is_possible(each),
        }
    found = {each["_id"]: each for each in database["events"].aggregate([{"$project": said}])}

    for stored in documents:
        marks, value = Marks(stored), stored.get("v", ABSENT)
        expected = {"_id": stored["_id"]}
        for at, field in enumerate(FIELDS):
            expected |= {
                f"certain{at}": marks.is_certain(field),
                f"likely{at}": marks.is_likely(field, value),
                f"possible{at}": marks.is_possible(field),
            }
        assert found[stored["_id"]] == expected, stored
    # It is no rule where all is said alike.
    assert {tuple(each.values())[1:4] for each in found.values()} == {
        (False, False, False),
        (False, False, True),
        (False, True, True),
        (True, True, True),
    }


def test_mongodb_takes_the_filled_out_of_a_value_as_this_process_does(
    database: Database[Document], documents: list[Document]
) -> None:
    database["events"].insert_many(documents)
    said = {"left": without(INSIDE, "$v", is_likely)}
    found = {each["_id"]: each for each in database["events"].aggregate([{"$project": said}])}

    for each in documents:
        left = left_of(each.get("v", ABSENT), INSIDE, Marks(each).is_likely)
        assert found[each["_id"]].get("left", ABSENT) == left, each


@pytest.mark.parametrize(
    ("stored", "certain", "likely", "possible"),
    [
        ({"schema_version": 1}, True, True, True),
        ({"schema_version": 2}, False, False, False),
        ({"schema_version": 0}, False, True, True),
        ({"schema_version": 1, "backfilled_to": 1}, False, False, False),
        ({"schema_version": 1, "untracked": 1}, False, False, True),
        ({"schema_version": 2, "untracked": 1, "filled": [4]}, True, True, True),
        ({"schema_version": 2, "filled": [4]}, True, True, True),
        ({"schema_version": 2, "filled": [3]}, False, False, False),
    ],
)
def test_what_is_listed_or_newer_than_the_document_was_filled_in(
    stored: Document, certain: bool, likely: bool, possible: bool
) -> None:
    meta = {"backfilled_to": 2, **stored}
    marks, each = Marks({"schema_version": meta.pop("schema_version"), "_meta": meta}), FIELDS[1]

    said = (marks.is_certain(each), marks.is_likely(each, None), marks.is_possible(each))

    assert said == (certain, likely, possible)
