"""Give tests of deliveries a sender on the running service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database

from tests.support.service import Client, running_service

Db = Database[dict[str, Any]]


@pytest.fixture
def client(mongod_uri: str, database: Db) -> Iterator[Client]:
    with running_service(mongod_uri, database.name) as running:
        yield running
