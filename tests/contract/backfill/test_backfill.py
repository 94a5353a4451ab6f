"""The backfill on a real mongod: what it makes of documents, and what it leaves alone."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.clock import utc_now
from consumer.core.errors import SetupError
from consumer.schemas.defaults import newer_than
from consumer.schemas.policy import SchemaPolicy, subject_policy
from jobs.backfill.job import BackfillRules
from jobs.backfill.pace import PaceRules
from jobs.backfill.updates import fill_pipeline
from tests.support.backfill import AT_ONCE, backfill, payload_part, read, registry, store
from tests.support.jobs import Run

Document = dict[str, Any]
Db = Database[Document]


def test_older_documents_get_what_they_lack_and_newer_ones_stay(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1, "n": {"x": 1}})
    store(database, schemas, "2", {"a": 1, "n": {"x": 1, "y": 2}, "b": "x"})
    before = read(database)

    result = backfill(database, schemas)(Run())

    after = read(database)
    assert after["2"] == before["2"]
    assert payload_part(after["1"]) == {"a": 1, "n": {"x": 1, "y": None}, "b": None}
    assert list(after["1"]["n"]) == ["x", "y"]
    assert after["1"]["schema_version"] == 1
    assert after["1"]["_meta"] == {**before["1"]["_meta"], "backfilled_to": 2}
    assert (result["documents"], result["failed"], result["remaining"]) == (1, 0, 0)


NONE = SchemaPolicy(subject_policy(nothing=True))
FEW = SchemaPolicy(subject_policy(max_fields=2))


@pytest.mark.parametrize(("policy", "filled"), [(NONE, {}), (FEW, {"b": None})])
@pytest.mark.parametrize("known", [1, 60])
def test_what_is_not_to_be_filled_is_left_out_and_the_document_says_so(
    database: Db, policy: SchemaPolicy, filled: Document, known: int
) -> None:
    schemas = registry(database, policy)
    store(database, schemas, "1", {"a": 1})
    newer = {f"k{number}": 1 for number in range(known)}
    store(database, schemas, "2", {"a": 1, "b": 1, **newer})

    backfill(database, schemas)(Run())

    after = read(database)
    assert payload_part(after["1"]) == {"a": 1, **filled}
    assert after["1"]["_meta"]["backfilled_to"] == 2
    assert after["1"]["_meta"]["unfilled"] == 2
    assert "unfilled" not in after["2"]["_meta"]


def test_what_comes_after_filling_was_allowed_again_is_filled(database: Db) -> None:
    without = registry(database, NONE)
    store(database, without, "1", {"a": 1})
    store(database, without, "2", {"b": 1})
    backfill(database, without)(Run())
    schemas = registry(database)

    store(database, schemas, "3", {"c": 1})
    backfill(database, schemas)(Run())

    after = read(database)
    assert payload_part(after["3"]) == {"c": 1, "a": None, "b": None}
    # What was left out on purpose stays so, and what came since is filled as ever.
    assert payload_part(after["1"]) == {"a": 1, "c": None}
    assert (after["1"]["_meta"]["unfilled"], after["1"]["_meta"]["backfilled_to"]) == (2, 3)


def test_a_second_run_finds_nothing(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1})
    store(database, schemas, "2", {"b": 1})
    job = backfill(database, schemas)
    job(Run())
    before = read(database)

    assert job.behind() == []
    assert job(Run())["documents"] == 0
    assert read(database) == before


def test_documents_that_a_stale_process_stamps_later_are_found(database: Db) -> None:
    schemas, stale = registry(database), registry(database)
    store(database, stale, "1", {"a": 1})
    store(database, schemas, "2", {"b": 1})
    job = backfill(database, schemas)
    job(Run())
    store(database, stale, "late", {"a": 2})
    assert read(database)["late"]["_meta"]["backfilled_to"] == 1

    job(Run())

    assert payload_part(read(database)["late"]) == {"a": 2, "b": None}


def test_versions_that_add_nothing_fillable_rewrite_nothing(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1, "list": [{"x": 1}]})
    store(database, schemas, "2", {"a": "now text", "list": [{"x": 1, "y": 2}]})
    before = read(database)

    result = backfill(database, schemas)(Run())

    assert schemas.subjects() == {"s": 2}
    assert result["documents"] == 0
    assert read(database) == before


def test_documents_of_other_subjects_and_strangers_are_left_alone(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1}, "other")
    store(database, schemas, "2", {"b": 1})
    store(database, schemas, "3", {"c": 1})
    database["events"].insert_one({"_id": "stranger", "a": 1})
    before = read(database)

    backfill(database, schemas)(Run())

    after = read(database)
    assert payload_part(after["2"]) == {"b": 1, "c": None}
    assert {key: after[key] for key in ("1", "3", "stranger")} == {
        key: before[key] for key in ("1", "3", "stranger")
    }


def test_a_subject_that_changed_just_now_waits_for_quiet(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1})
    store(database, schemas, "2", {"b": 1})
    rules = BackfillRules(quiet=60, pace=AT_ONCE.pace)

    soon = backfill(database, schemas, rules)(Run())
    later = backfill(database, schemas, rules, lambda: utc_now() + timedelta(seconds=61))(Run())

    assert (soon["documents"], soon["remaining"]) == (0, 1)
    assert (later["documents"], later["remaining"]) == (1, 0)


def test_one_that_is_stopped_goes_on_where_it_ended(database: Db) -> None:
    schemas = registry(database)
    for number in range(25):
        store(database, schemas, str(number), {"a": number})
    store(database, schemas, "new", {"b": 1})
    job = backfill(database, schemas, BackfillRules(0, PaceRules(batch=4, throttle=True)))
    run = Run(stop_after=3)
    began = utc_now().replace(microsecond=0)

    first = job(run)
    second = job(Run())

    assert 0 < first["documents"] < 25
    assert run.facts["remaining"] == first["remaining"] == 25 - first["documents"]
    assert run.facts["rate"] > 0
    # A fast machine has it down to nothing once rounded.
    left = run.facts["remaining"] / run.facts["rate"]
    assert run.facts["seconds_left"] == pytest.approx(left, abs=0.1 + left / 10)
    assert run.facts["estimated_end"] >= began
    assert second["documents"] == 25 - first["documents"]
    assert all("b" in document for document in read(database).values())


def test_what_a_backfill_adds_is_newer_than_the_documents_version(database: Db) -> None:
    schemas = registry(database)
    store(database, schemas, "1", {"a": 1, "gone": 1})
    database["events"].update_one({"_id": "1"}, {"$unset": {"gone": ""}})
    store(database, schemas, "2", {"b": 1})

    backfill(database, schemas)(Run())

    # A field that a person took out is not filled: it would look as if it had been sent.
    assert payload_part(read(database)["1"]) == {"a": 1, "b": None}


def test_an_unknown_subject_is_named(database: Db) -> None:
    with pytest.raises(SetupError, match="schema list"):
        backfill(database, registry(database)).behind("nobody")


def test_a_schema_of_32_levels_is_filled_in_mongodb(database: Db) -> None:
    deep: Document = {"leaf": 1}
    odd: Document = {"leaf": 1}
    for level in range(30):
        deep = {f"level{level}": deep, "other": level}
        odd = {"a.b": odd, "$c": level} if level < 12 else odd
    bare = remove_last(copy.deepcopy(deep))
    schemas = registry(database)
    store(database, schemas, "1", {"deep": bare, "odd": remove_last(copy.deepcopy(odd))})
    store(database, schemas, "2", {"deep": deep, "odd": odd})
    schema = newer_than(schemas.compiled("s"), 1)

    assert fill_pipeline(schema, 2) is not None
    result = backfill(database, schemas)(Run())

    assert result["documents"] == 1
    assert read(database)["1"] == payload_of(read(database)["1"], deep, odd)


def remove_last(value: Document) -> Document:
    """Take out the innermost leaf."""
    innermost(value).pop("leaf")
    return value


def innermost(value: Document) -> Document:
    while (below := next((v for v in value.values() if isinstance(v, dict)), None)) is not None:
        value = below
    return value


def payload_of(document: Document, deep: Document, odd: Document) -> Document:
    filled = {"deep": copy.deepcopy(deep), "odd": copy.deepcopy(odd)}
    for value in filled.values():
        innermost(value)["leaf"] = None
    return {**document, **filled}
