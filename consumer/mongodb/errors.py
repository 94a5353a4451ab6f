"""Translate errors of the driver into those of this program, once, at the edge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TypeVar

from bson.errors import BSONError
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WriteError,
    WTimeoutError,
)

from consumer.core.deadline import had_a_fair_share
from consumer.core.errors import StoreUnavailable
from consumer.mongodb.client import Blocked, Document
from consumer.mongodb.deadline import in_time

Item = TypeVar("Item")

# Raised where a document that is none of ours is read.
FOREIGN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)

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
    (InvalidOperation, "this process has closed its connections to MongoDB"),
)

# Error codes of the server.
_REFUSALS = {
    13: "the user of `MONGODB_URI` lacks the right",
    18: "MongoDB refuses the user or password of `MONGODB_URI`",
    8000: "MongoDB refuses the user or password of `MONGODB_URI`",
    166: "a view takes no writes",
    13297: "there is a database whose name differs from `MONGODB_DATABASE` in upper and lower case"
    " only, and MongoDB takes no second one: write it like that",
}


def readable(documents: Iterable[Document], read: Callable[[Document], Item]) -> Iterator[Item]:
    """Read documents, but for those that are none of ours: whoever can write to MongoDB can put
    any document there, and that must stop nothing else."""
    for each in documents:
        with suppress(*FOREIGN):
            yield read(each)


@contextmanager
def translated(collection: str) -> Iterator[None]:
    """Raise StoreUnavailable in place of any error of the driver or of BSON, naming the collection.

    What is asked inside ends by the deadline of this thread. Handle inside what has a meaning of
    its own there, such as DuplicateKeyError.
    """
    began = monotonic()
    try:
        with in_time():
            yield
    except PyMongoError as error:
        raise unavailable(error, collection, monotonic() - began) from error
    except BSONError as error:
        kind = type(error).__name__
        raise StoreUnavailable(
            f"BSON cannot hold the document ({kind}) for the collection {collection!r}"
        ) from error


def unavailable(
    error: PyMongoError, collection: str | None = None, ran: float | None = None
) -> StoreUnavailable:
    """The StoreUnavailable of a driver error, free of its text. `ran`: the seconds that the call
    took, where it may have had too few."""
    if isinstance(error, Blocked):
        return error.why
    kind = type(error).__name__
    fact = next((text for type_, text in _MEANINGS if isinstance(error, type_)), "MongoDB failed")
    if is_unknown_to_dns(error):
        fact = "the name of MongoDB could not be looked up in DNS"
    code = getattr(error, "code", None)
    fact = refusal(error) or fact
    detail = f"{kind}, code {code}" if isinstance(code, int) else kind
    where = f" for the collection {collection!r}" if collection else ""
    return StoreUnavailable(
        f"{fact} ({detail}){where}: check MongoDB and `MONGODB_URI`", away=_is_away(error, ran)
    )


def refusal(error: PyMongoError) -> str | None:
    """Words for the code of the server's error, where we know them."""
    return _REFUSALS.get(getattr(error, "code", None) or 0)


def is_unknown_to_dns(error: PyMongoError) -> bool:
    """True for a mongodb+srv:// name that could not be looked up; the driver has one type for that
    and for settings it does not take."""
    cause = type(error.__cause__).__module__
    return isinstance(error, ConfigurationError) and cause.startswith("dns.")


def _is_away(error: PyMongoError, ran: float | None) -> bool:
    """True for an error that says MongoDB is away: no refusal of one document does, nor a wait for
    one of our own connections, nor their end."""
    if isinstance(error, (WriteError, WaitQueueTimeoutError, InvalidOperation)):
        return False
    return ran is None or not error.timeout or had_a_fair_share(ran)
