"""Events are counted by subject, on an index, and for no longer than is bearable."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo import MongoClient, monitoring
from pymongo.database import Database

from consumer.core.errors import StoreUnavailable
from consumer.events.recent import documents_by_subject, estimated_documents
from consumer.mongodb.indexes import create_indexes

Document = dict[str, Any]


def store(database: Database[Document], count: int) -> None:
    database["events"].insert_many(
        [{"_meta": {"subject": f"s{n % 2}"}, "n": n} for n in range(count)]
    )


def test_events_are_counted_by_subject(database: Database[Document]) -> None:
    store(database, 5)
    database["events"].insert_one({"foreign": True})

    assert documents_by_subject(database["events"], 10) == {"s0": 3, "s1": 2}
    assert estimated_documents(database["events"]) == 6


class Aggregates(monitoring.CommandListener):
    """Keeps the last aggregate command that reaches MongoDB."""

    last: Document

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "aggregate":
            self.last = dict(event.command)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


def test_counting_reads_an_index_alone(database: Database[Document], mongod_uri: str) -> None:
    create_indexes(database)
    store(database, 5)
    sent = Aggregates()
    with MongoClient[Document](mongod_uri, event_listeners=[sent]) as client:
        documents_by_subject(client[database.name]["events"], 10)

    command = {name: sent.last[name] for name in ("aggregate", "pipeline", "cursor")}
    plan = str(database.command("explain", command, verbosity="executionStats"))
    assert "IXSCAN" in plan
    assert "'totalDocsExamined': 0" in plan


def test_counting_that_takes_too_long_ends_without_a_figure(
    database: Database[Document],
) -> None:
    store(database, 20_000)

    assert documents_by_subject(database["events"], 0.001) is None


def test_a_mongodb_that_is_away_is_told(database: Database[Document]) -> None:
    with MongoClient[Document](
        "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100", connect=False
    ) as client:
        with pytest.raises(StoreUnavailable):
            documents_by_subject(client["x"]["events"], 0.2)
        with pytest.raises(StoreUnavailable):
            estimated_documents(client["x"]["events"])
