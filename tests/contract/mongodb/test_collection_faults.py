"""Documents of others in our collections are named, and looking for them costs next to nothing."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from consumer.mongodb.client import ADOPTION_COUNTS
from consumer.mongodb.collection_faults import _FOREIGN, foreign_documents

Db = Database[dict[str, Any]]


@pytest.mark.parametrize(
    "_id", [1, 1.5, "x", b"x", None, True, ObjectId(), datetime(2026, 1, 1, tzinfo=timezone.utc)]
)
def test_an_id_that_is_no_object_is_of_others(database: Db, _id: object) -> None:
    ours = {"subject": "t", "version": 1}
    database[ADOPTION_COUNTS].insert_many([{"_id": _id}, {"_id": ours}])

    (said,) = foreign_documents(database)

    assert said.startswith("documents in adoption_counts that are not ours are left alone: ")
    assert "subject" not in said


def test_a_million_counts_are_not_read_to_find_others(database: Db) -> None:
    database[ADOPTION_COUNTS].insert_many([{"_id": {"n": n}} for n in range(500)])
    find = {"find": ADOPTION_COUNTS, "filter": _FOREIGN[ADOPTION_COUNTS], "projection": {"_id": 1}}

    explained = database.command("explain", find, verbosity="executionStats")["executionStats"]

    assert explained["totalDocsExamined"] == 0
    assert explained["totalKeysExamined"] < 20
