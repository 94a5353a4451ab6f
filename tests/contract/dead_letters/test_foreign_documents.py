"""Documents of others in `dead_letter_queue` that look like entries stand in nobody's way."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.delivery import Delivery
from consumer.dead_letters.search import DeadLetterSearch
from consumer.dead_letters.store import DeadLetter, DeadLetters

NOW = datetime(2020, 3, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize("payload", [{"a": 1}, "text", None, b"{}"])
def test_an_entry_without_a_body_is_neither_tried_nor_listed(
    database: Database[dict[str, Any]], payload: object
) -> None:
    letters = DeadLetters(database["dead_letter_queue"])
    delivery = Delivery("d1", b"{", {}, NOW)
    ours = letters.add(DeadLetter(delivery, "d" * 64, "malformed_json", "x"))
    looks = {"_id": "abc", "reason": "store_error", "next_retry_at": NOW}
    database["dead_letter_queue"].insert_one({**looks, "original_payload": payload})

    assert letters.claims.due(10) == [ours]
    pairs = [(reason, status) for reason, status, _, _ in letters.depths()]
    search = DeadLetterSearch(database["dead_letter_queue"])
    assert [each["_id"] for each in search.newest({}, pairs, 10)] == [ours]
    assert [each.ids for each in search.causes({}, pairs)] == [[ours]]
    assert [_id for _id, _ in letters.ids({})] == [ours]
    assert letters.by_prefix("abc") == []
    assert [each["_id"]["reason"] for each in letters.summary()] == ["malformed_json"]
    assert [row[0] for row in letters.depths()] == ["malformed_json"]
