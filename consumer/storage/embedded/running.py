"""Find the embedded MongoDB of a service that runs on this machine."""

from __future__ import annotations

from pathlib import Path

from pymongo.errors import OperationFailure, PyMongoError

from consumer.errors import StoreUnavailable
from consumer.storage.embedded import key, port, replica_set

# Seconds; on a busy machine a good one may take a while.
_PATIENCE = 4.0


def running_uri(data_dir: Path) -> str | None:
    """The URI of the mongod that serves the files in `data_dir`, with user and password, or None
    where none does. Raises StoreUnavailable where what listens there does not answer, and
    SetupError where this user may not read the key."""
    directory = data_dir.resolve()
    at = port.recall(directory / port.FILE)
    if at is None or not replica_set.listens(at):
        return None
    # None: one that an older program started, and that still runs.
    secret = key.recall(directory)
    # Something else may listen there by now: it is known by what it says of itself.
    try:
        with replica_set.direct(at, secret, _PATIENCE) as client:
            _, dbpath = replica_set.identify(client)
    except OperationFailure:
        return None
    except PyMongoError as error:
        raise StoreUnavailable(
            f"the embedded MongoDB of {data_dir} does not answer at {replica_set.host(at)}"
            f" ({type(error).__name__}): look at {directory / 'mongodb.log'}"
        ) from error
    return replica_set.uri(at, secret) if dbpath == directory / replica_set.DBPATH else None
