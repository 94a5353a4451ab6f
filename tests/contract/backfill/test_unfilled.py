"""Fillings that were left out on purpose come after all when a person asks for them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pymongo.database import Database

from consumer.core.paths import is_reserved
from consumer.events.documents import encode, plain
from consumer.events.recent import as_sent
from consumer.schemas.defaults import fill, unfill
from consumer.schemas.policy import Defaults, SchemaPolicy, SubjectPolicy, subject_policy
from jobs.backfill.pace import Pace, PaceRules
from jobs.backfill.unfilled import UnfilledDocuments, fill_unfilled
from tests.contract.backfill.test_filling import clean, histories, same
from tests.contract.events.test_refused_fillings import Intake
from tests.support.backfill import backfill, payload_part, read, registry, store
from tests.support.jobs import Run

Document = dict[str, Any]
Db = Database[Document]

NONE = SchemaPolicy(subject_policy(nothing=True))


def refill(database: Db, policy: SchemaPolicy | None = None) -> Document:
    documents = UnfilledDocuments(database["events"])
    pace = Pace(PaceRules(batch=400, pause=0, throttle=False))
    found = documents.count()
    return fill_unfilled(documents, registry(database, policy), found, pace, Run())


def test_what_was_left_out_is_filled_and_told_from_what_was_sent(database: Db) -> None:
    without = registry(database, NONE)
    store(database, without, "1", {"a": 1, "o": {"x": 1}})
    store(database, without, "2", {"b": 1, "o": {}})
    backfill(database, without)(Run())
    assert payload_part(read(database)["1"]) == {"a": 1, "o": {"x": 1}}
    schemas = registry(database)
    store(database, schemas, "3", {"c": 1})
    backfill(database, schemas)(Run())

    result = refill(database)

    after = read(database)
    head = schemas.head("s")
    assert head is not None
    assert (result["documents"], result["unfilled"], result["refused"]) == (2, 0, 0)
    assert payload_part(after["1"]) == {"a": 1, "o": {"x": 1}, "b": None, "c": None}
    assert payload_part(after["2"]) == {"b": 1, "o": {"x": None}, "a": None, "c": None}
    names = [field.path for field in head.fields]
    # Of document 1 all came later than its version, which shows by itself.
    assert "filled" not in after["1"]["_meta"]
    assert [names[n] for n in after["2"]["_meta"]["filled"]] == [("a",), ("o", "x")]
    assert not any("unfilled" in document["_meta"] for document in after.values())
    assert refill(database)["documents"] == 0


def test_what_came_later_is_left_to_the_backfill(database: Db) -> None:
    without = registry(database, NONE)
    store(database, without, "1", {"a": 1})
    store(database, without, "2", {"b": 1})
    schemas = registry(database)
    store(database, schemas, "3", {"c": 1})

    refill(database)

    after = read(database)
    head = schemas.compiled("s")
    assert head.version is not None
    assert payload_part(after["2"]) == {"b": 1, "a": None}
    assert after["2"]["_meta"]["backfilled_to"] == 2
    assert as_sent(after["2"], head.version, head.defaults) == {"b": 1}


@pytest.mark.slow
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=histories())
def test_filled_after_all_equals_filled_at_once(
    database: Db, history: tuple[SchemaPolicy, list[Document]]
) -> None:
    _, events = history
    clean(database)
    without = registry(database, NONE)
    for number, payload in enumerate(events):
        store(database, without, str(number), payload)
    backfill(database, without)(Run())

    refill(database)

    after = read(database)
    schemas = registry(database)
    head = schemas.head("s")
    assert head is not None
    for number, payload in enumerate(events):
        document = after[str(number)]
        wanted = plain(encode({key: v for key, v in payload.items() if not is_reserved(key)}))
        whole = copy.deepcopy(wanted)
        fill(whole, schemas.compiled("s").check(whole))
        assert same(payload_part(document), whole)
        sent = payload_part(document)
        stamped, meta = document["schema_version"], document["_meta"]
        later = [n for n, field in enumerate(head.fields) if field.fill_from > stamped]
        unfill(sent, [*later, *meta.get("filled", ())], head)
        assert same(sent, wanted)


def test_what_is_still_refused_or_beyond_the_bound_stays_left_out(database: Db) -> None:
    intake = Intake(database, NONE)
    for number in range(3):
        intake.take(str(number), {"a": number, "b": "x", "c": 1} if not number else {"a": number})
    database["events"].update_many({"_id": {"$ne": "0"}}, {"$set": {"_meta.unfilled": 1}})
    database["events"].create_index(
        "b", unique=True, partialFilterExpression={"b": {"$exists": True}}
    )
    policy = SchemaPolicy(SubjectPolicy(defaults=Defaults(max_fields=2)))

    bounded = refill(database, policy)
    again = refill(database)

    after = read(database)
    assert (bounded["documents"], bounded["unfilled"], bounded["refused"]) == (1, 2, 1)
    assert (again["documents"], again["unfilled"], again["refused"]) == (2, 1, 0)
    assert payload_part(after["1"]) == {"a": 1, "b": None, "c": None}
    assert payload_part(after["2"]) == {"a": 2, "c": None}
    assert "unfilled" not in after["1"]["_meta"]
    assert after["2"]["_meta"]["unfilled"] == 1
    # Nothing is written again for what cannot be filled.
    third = refill(database)
    assert (third["documents"], third["unfilled"], third["refused"]) == (0, 1, 1)


def test_more_than_a_batch_of_documents_that_stay_are_passed_by(database: Db) -> None:
    without = registry(database, NONE)
    for number in range(250):
        store(database, without, str(number), {"a": 1, "n": number})
    store(database, without, "new", {"b": 1, "a": 1, "n": 1})
    backfill(database, without)(Run())
    database.command(
        "collMod", "events", validator={"$or": [{"n": {"$gte": 220}}, {"b": {"$exists": False}}]}
    )

    result = refill(database)

    assert (result["documents"], result["unfilled"], result["refused"]) == (30, 220, 220)
