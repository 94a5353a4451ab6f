"""Give tests of the registry a collection, and one whose commands are seen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from tests.support.registry import Commands, Document, Versions


@pytest.fixture
def versions(database: Database[Document]) -> Versions:
    return database["schema_versions"]


@pytest.fixture
def watched(database: Database[Document], mongod_uri: str) -> Iterator[tuple[Versions, Commands]]:
    """The same collection through a client of its own, with the commands it sends."""
    commands = Commands()
    with MongoClient[Document](mongod_uri, event_listeners=[commands], tz_aware=True) as client:
        yield client[database.name]["schema_versions"], commands
