"""Without MongoDB, or with answers that were lost, nothing is said to be registered that is not."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError

from consumer.core.errors import StoreError, StoreUnavailable
from consumer.schemas.model import Field, SchemaVersion
from consumer.schemas.registry.registry import SchemaRegistry
from consumer.schemas.registry.versions import SchemaVersions
from tests.support.registry import Document, LossyCollection, Versions, faults


def test_without_mongodb_a_payload_that_needs_it_is_answered_unavailable(
    versions: Versions,
) -> None:
    with MongoClient[Document](
        "mongodb://user:hidden@127.0.0.1:9/?serverSelectionTimeoutMS=200", connect=False
    ) as client:
        registry = SchemaRegistry(client["x"]["schema_versions"])

        with pytest.raises(StoreUnavailable) as caught:
            registry.admit("s", {"a": 1})

    assert "hidden" not in str(caught.value)
    assert "schema_versions" in str(caught.value)


@pytest.mark.parametrize("lost", [["after"], ["before"], ["before", "after"], ["after", "after"]])
def test_an_insert_of_unknown_outcome_is_settled_by_comparing(
    versions: Versions, lost: list[str]
) -> None:
    lossy: Any = LossyCollection(versions, list(lost))
    registry = SchemaRegistry(lossy, sleep=lambda _: None)

    first = registry.admit("s", {"a": 1})
    second = registry.admit("s", {"b": 1})

    assert (first.version, second.version) == (1, 2)
    assert first.registered is not None
    assert second.registered is not None
    assert faults(versions, "s", [(1, {"a": 1}), (2, {"b": 1})]) == []


class UnconfirmedCollection(LossyCollection):
    """A primary that holds a number which no majority confirms."""

    def with_options(self, **options: Any) -> UnconfirmedCollection:
        return UnconfirmedCollection(self._collection.with_options(**options), [])

    def insert_one(self, document: Document) -> None:
        raise DuplicateKeyError("E11000")


def test_a_number_that_never_becomes_durable_ends_as_unavailable(versions: Versions) -> None:
    unconfirmed: Any = UnconfirmedCollection(versions, [])
    registry = SchemaRegistry(unconfirmed, sleep=lambda _: None)

    with pytest.raises(StoreUnavailable, match="majority"):
        registry.admit("s", {"a": 1})


def test_a_version_that_bson_cannot_hold_is_no_outage(versions: Versions) -> None:
    field = Field(("x" * 17 * 1024 * 1024,), 1, {"string": 1})
    large = SchemaVersion("s", 1, (field,), (), datetime(2026, 1, 1, tzinfo=timezone.utc))

    with pytest.raises(StoreError, match="DocumentTooLarge"):
        SchemaVersions(versions).insert(large)
