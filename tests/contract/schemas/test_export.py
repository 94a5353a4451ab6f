"""The exported validator holds on a real MongoDB."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pymongo.database import Database
from pymongo.errors import WriteError

from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers, Verdict
from consumer.events.documents import encode
from consumer.runtime.settings_map import schema_policy
from consumer.runtime.shared import SharedParts, build_shared
from consumer.schemas.export import json_schema, mongo_schema, mongo_validator
from consumer.schemas.policy import Guards, SchemaPolicy
from tests.support.backfill import backfill
from tests.support.jobs import Run
from tests.support.spool import load
from tests.support.stored import documents, payload_part
from tests.support.strategies import keys, learn, payloads

Document = dict[str, Any]


def nested(levels: int) -> Document:
    value: Any = 1
    for _ in range(levels):
        value = {"k": value, "l": [value]} if levels < 6 else {"k": value}
    assert isinstance(value, dict)
    return value


def test_the_validator_refuses_another_type_and_takes_null(database: Database[Document]) -> None:
    schema = mongo_schema(learn([{"a": [{"b": 1}], "m": {"4711": 1, "4712": 1}}])).schema
    events = database.create_collection("checked", validator={"$jsonSchema": schema})

    events.insert_one({"a": [{"b": None}], "m": {"k": 2}, "new": "x"})

    for wrong in ({"a": 1}, {"a": [{"b": "x"}]}, {"m": {"k": "x"}}):
        with pytest.raises(WriteError):
            events.insert_one(wrong)


def test_the_deepest_schema_is_taken_by_the_parser(database: Database[Document]) -> None:
    payload = nested(40)
    exported = mongo_schema(learn([payload], guards=Guards(depth=40)))

    events = database.create_collection("deep", validator={"$jsonSchema": exported.schema})

    events.insert_one(payload)
    assert len(exported.left_out) == 1


def test_the_whole_validator_checks_its_own_subject_alone(database: Database[Document]) -> None:
    payload = nested(40)
    exported = mongo_validator(learn([payload], guards=Guards(depth=40)))
    wrong = {"k": {"k": 1}}

    events = database.create_collection("deep", validator=exported.schema)

    events.insert_one({**payload, "_meta": {"subject": "contact.created"}})
    events.insert_one({**wrong, "_meta": {"subject": "another"}})
    metas: list[Document] = [{"_meta": {"subject": "contact.created"}}, {"_meta": {}}, {}]
    for meta in metas:
        with pytest.raises(WriteError):
            events.insert_one({**wrong, **meta})


def named(schema: Any) -> Iterator[str]:
    """Every property name that a schema speaks of."""
    if isinstance(schema, dict):
        for keyword, below in schema.items():
            if keyword == "properties":
                yield from below
                yield from (name for each in below.values() for name in named(each))
            else:
                yield from named(below)
    elif isinstance(schema, list):
        yield from (name for each in schema for name in named(each))


RULES = """
[subjects."*"]
defaults = { a = "none yet", "c.level" = 7, b = { a = [1], x = { y = true } } }
"""


@pytest.fixture(params=["null", "typed"])
def wired(
    request: pytest.FixtureRequest, database: Database[Document], mongod_uri: str, tmp_path: Path
) -> Iterator[tuple[SharedParts, SchemaPolicy]]:
    """The real way in, with defaults by mapping and of both kinds."""
    (tmp_path / "rules.toml").write_text(RULES, encoding="utf-8")
    configured = load(
        mongod_uri,
        database.name,
        tmp_path,
        cxone_config=str(tmp_path / "rules.toml"),
        cxone_defaults=request.param,
        cxone_schema_max_subjects="100000",
    )
    with closing(build_shared(configured, mongod_uri)) as built:
        yield built, schema_policy(configured)


def deliver(shared: SharedParts, subject: str, number: int, payload: Document) -> None:
    body = json.dumps({**payload, "id": f"{subject} {number}", "type": subject}).encode()
    now = utc_now()
    delivery = Delivery("", body, Headers({}), now, Verdict("current", now))
    assert shared.ingest.store(delivery).status == "processed"


many = st.lists(payloads, min_size=1, max_size=4)
huge = st.sampled_from([2**63, -(2**100), 10**33, 5e-324, 1.0, 2**53 + 1])


@pytest.mark.slow
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(many, st.dictionaries(keys, huge, max_size=2))
def test_every_stored_document_satisfies_both_exports_backfilled_or_not(
    wired: tuple[SharedParts, SchemaPolicy], events: list[Document], numbers: Document
) -> None:
    subject = f"s{uuid.uuid4().hex}"
    shared, policy = wired
    defaults = policy.of(subject).defaults
    for number, event in enumerate([*events, numbers]):
        deliver(shared, subject, number, event)
    head = shared.registry.refreshed(subject)
    assert head is not None
    schema = json_schema(head, defaults)
    exported = mongo_validator(head, defaults)

    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema
    validator = Draft202012Validator(schema)
    checked = shared.database.create_collection(subject, validator=exported.schema)
    for _ in ("as ingested", "backfilled"):
        stored = documents(shared.database, {"_meta.subject": subject})
        assert len(stored) == len(events) + 1
        for document in stored:
            assert list(validator.iter_errors(payload_part(document))) == []
        checked.insert_many([encode(document) for document in stored])
        checked.delete_many({})
        backfill(shared.database, shared.registry)(Run())
    assert not [name for name in named(exported.schema) if not name or "." in name]
    shared.database.drop_collection(subject)
