"""Find the embedded MongoDB of a service that runs on this machine."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pymongo.errors import PyMongoError

from consumer.storage.embedded import port, replica_set


def running_uri(data_dir: Path) -> str | None:
    """The URI of the mongod that serves the files in `data_dir`, or None where none does."""
    directory = data_dir.resolve()
    at = port.recall(directory / port.FILE)
    if at is None or not replica_set.listens(at):
        return None
    # Something else may listen there by now: it is known by what it says of itself.
    with contextlib.suppress(PyMongoError), replica_set.direct(at) as client:
        _, dbpath = replica_set.identify(client)
        if dbpath == directory / replica_set.DBPATH:
            return replica_set.uri(at)
    return None
