"""Translate what the driver raises into the errors of this program, once, at the edge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import (
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from consumer.errors import StoreUnavailable
from consumer.storage.ours import Barred

# The first that fits. Texts of the driver and server are left out: they quote addresses with user
# names, and documents.
_MEANINGS: tuple[tuple[type[PyMongoError], str], ...] = (
    (ServerSelectionTimeoutError, "no primary of MongoDB was found in time"),
    (NetworkTimeout, "MongoDB did not answer in time"),
    (NotPrimaryError, "the MongoDB server is no longer primary"),
    (ConnectionFailure, "the connection to MongoDB failed"),
    (WTimeoutError, "a majority of MongoDB did not confirm the write in time"),
    (WriteConcernError, "a majority of MongoDB did not confirm the write"),
    (ExecutionTimeout, "MongoDB gave up the operation for its time limit"),
    (OperationFailure, "MongoDB refused the operation"),
)


@contextmanager
def translated(collection: str) -> Iterator[None]:
    """Raise StoreUnavailable in place of any driver error, naming the collection.

    Handle inside what has a meaning of its own there, such as DuplicateKeyError.
    """
    try:
        yield
    except PyMongoError as error:
        raise unavailable(error, collection) from error


def unavailable(error: PyMongoError, collection: str) -> StoreUnavailable:
    """The StoreUnavailable of a driver error, free of its text."""
    if isinstance(error, Barred):
        return error.why
    kind = type(error).__name__
    fact = next((text for type_, text in _MEANINGS if isinstance(error, type_)), "MongoDB failed")
    code = getattr(error, "code", None)
    detail = f"{kind}, code {code}" if isinstance(code, int) else kind
    return StoreUnavailable(
        f"{fact} ({detail}) for the collection {collection!r}: check MongoDB and `MONGODB_URI`"
    )
