"""The audit on a real mongod: what was done by whom, the last deed first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pymongo.database import Database

from consumer.monitoring.audit import Audit
from tests.support.adoption import NOW

Db = Database[dict[str, Any]]


def test_no_detail_takes_the_place_of_who_what_and_when(database: Db) -> None:
    audit = Audit(database["audit"])

    audit.record("Ada", "dlq retry", NOW, {"at": 1, "who": "nobody", "what": "x", "count": 2})

    (deed,) = audit.actions(10)
    assert (deed["who"], deed["what"], deed["at"], deed["count"]) == ("Ada", "dlq retry", NOW, 2)


def test_deeds_come_in_pages_the_last_one_first(database: Db) -> None:
    audit = Audit(database["audit"])
    for number in range(5):
        audit.record("Ada", f"deed {number}", NOW + timedelta(minutes=number), {})

    pages = [[deed["what"] for deed in audit.actions(2, skip)] for skip in (0, 2, 4)]

    assert pages == [["deed 4", "deed 3"], ["deed 2", "deed 1"], ["deed 0"]]
