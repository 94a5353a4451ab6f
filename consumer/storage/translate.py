"""Translate what the driver raises into the errors of this program, once, at the edge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import (
    ConfigurationError,
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


def unavailable(error: PyMongoError, collection: str | None = None) -> StoreUnavailable:
    """The StoreUnavailable of a driver error, free of its text."""
    if isinstance(error, Barred):
        return error.why
    kind = type(error).__name__
    fact = next((text for type_, text in _MEANINGS if isinstance(error, type_)), "MongoDB failed")
    if is_unknown_to_dns(error):
        fact = "the name of MongoDB could not be looked up in DNS"
    code = getattr(error, "code", None)
    detail = f"{kind}, code {code}" if isinstance(code, int) else kind
    where = f" for the collection {collection!r}" if collection else ""
    return StoreUnavailable(f"{fact} ({detail}){where}: check MongoDB and `MONGODB_URI`")


def is_unknown_to_dns(error: PyMongoError) -> bool:
    """Whether a mongodb+srv:// name could not be looked up; the driver has one type for that and
    for settings it does not take."""
    cause = type(error.__cause__).__module__
    return isinstance(error, ConfigurationError) and cause.startswith("dns.")
