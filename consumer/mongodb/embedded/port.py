"""Choose the loopback port of the embedded mongod, the last one where possible; find the mongod of
a service that runs on this machine by it.
"""

from __future__ import annotations

import contextlib
import random
import socket
import sys
from pathlib import Path

from pymongo.errors import OperationFailure, PyMongoError

from consumer.core.errors import SetupError, StoreUnavailable
from consumer.mongodb.embedded import key, replica_set

# Below the ephemeral ports of every system: there a client that keeps trying a closed port on
# loopback can in the end connect to itself, and so occupy what it waits for.
_LOWEST, _HIGHEST = 20_000, 32_000

# In the data directory: the port last used there.
FILE = "mongodb.port"
# Seconds for an answer; on a busy machine a good one may take a while.
_TIMEOUT = 4.0


def choose(previous: int | None) -> int:
    """A free port: `previous` if it is, else a random one. Raises SetupError."""
    drawn = (random.randint(_LOWEST, _HIGHEST) for _ in range(50))  # noqa: S311 - not a secret
    for port in [previous, *drawn] if previous else drawn:
        if port and is_free(port):
            return port
    raise SetupError(
        f"no free port between {_LOWEST} and {_HIGHEST} on 127.0.0.1 for the embedded MongoDB:"
        " give it one, or set MONGODB_URI"
    )


def is_free(port: int) -> bool:
    """True for a port on which mongod could listen now."""
    with socket.socket() as probe:
        if sys.platform != "win32":
            # As mongod does, or ports closed a moment ago count as taken. On Windows the same
            # option would let us share a port that is in use.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def recall(file: Path) -> int | None:
    """The port last used with this data directory, if it is known."""
    with contextlib.suppress(OSError, ValueError), file.open(encoding="ascii") as text:
        port = int(text.read(10))
        return port if 0 < port < 65_536 else None
    return None


def remember(file: Path, port: int) -> None:
    """Write it down for the next start, and for finding a mongod that outlived us."""
    file.write_text(str(port), encoding="ascii")


def running_uri(data_dir: Path) -> str | None:
    """The URI of the mongod that serves the files in `data_dir`, with user and password, or None
    where none does. Raises StoreUnavailable where what listens there does not answer, and
    SetupError where this user may not read the key."""
    directory = data_dir.resolve()
    at = recall(directory / FILE)
    if at is None or not replica_set.listens(at):
        return None
    # None: one that an older program started, and that still runs.
    secret = key.recall(directory)
    # Something else may listen there by now: it is known by what it says of itself.
    try:
        with replica_set.direct(at, secret, _TIMEOUT) as client:
            _, dbpath = replica_set.identify(client)
    except OperationFailure:
        return None
    except PyMongoError as error:
        raise StoreUnavailable(
            f"the embedded MongoDB of {data_dir} does not answer at {replica_set.host(at)}"
            f" ({type(error).__name__}): look at {directory / 'mongodb.log'}"
        ) from error
    return replica_set.uri(at, secret) if dbpath == directory / replica_set.DBPATH else None
