"""A user with just the rights that `doctor` asks for, on our collections alone, is enough."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from consumer.doctor.rights import _NEEDED
from consumer.mongodb.client import COLLECTIONS
from consumer.mongodb.indexes import INDEXES
from tests.support.service import eventually, running_service

Db = Database[dict[str, Any]]


@pytest.fixture
def narrow(
    mongo_client: MongoClient[dict[str, Any]], mongod_uri: str, database: Db
) -> Iterator[str]:
    """The URI of such a user."""
    rights = [
        {"resource": {"db": database.name, "collection": name}, "actions": list(_NEEDED)}
        for name in COLLECTIONS
    ]
    admin = mongo_client.admin
    admin.command("createRole", database.name, privileges=rights, roles=[])
    admin.command("createUser", database.name, pwd="narrow", roles=[database.name])
    parts = urlsplit(mongod_uri)
    host = parts.netloc.rpartition("@")[2]
    yield parts._replace(netloc=f"{database.name}:narrow@{host}").geturl()
    admin.command("dropUser", database.name)
    admin.command("dropRole", database.name)


def test_the_service_works_with_the_rights_that_doctor_asks_for(narrow: str, database: Db) -> None:
    quick = {"cxone_backfill_quiet": "0s", "cxone_backfill_interval": "1s"}
    ours = {index.name for index in INDEXES if index.collection == "events"}

    with running_service(narrow, database.name, **quick) as client:
        answers = [client.post({"id": str(n), "type": "t", f"f{n}": 1}).status for n in range(2)]
        refused = client.post({"type": "no id"}).status
        eventually(lambda: ours <= set(database["events"].index_information()), 60)
        filled = {"_meta.backfilled_to": 2}
        eventually(lambda: database["events"].count_documents(filled) == 2, 60)
        ready = client.get("/readyz").json

    assert (answers, refused) == ([200, 200], 400)
    assert ready["mongodb"]["ok"], ready
