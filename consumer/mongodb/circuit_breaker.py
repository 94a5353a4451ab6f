"""Remember that MongoDB is away, so that no request waits to find it out again."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Any

import pymongo
import structlog
from pymongo.collection import Collection
from pymongo.topology_description import TopologyDescription

from consumer.core.deadline import deadline
from consumer.core.errors import StoreUnavailable
from consumer.mongodb.errors import translated

log = structlog.get_logger(__name__)

_PROBE_TIMEOUT = 1.0
# No event has this `_id`.
_NOBODY: dict[str, Any] = {"_id": ""}


class CircuitBreaker:
    """The first failure that the driver found opens it, a probe that MongoDB took closes it. It is
    open as well while the driver, who watches the servers, knows of none that takes writes.

    `events` is any collection of ours that takes writes; `bound` is in seconds.
    """

    def __init__(self, events: Collection[dict[str, Any]], bound: float) -> None:
        self._events = events
        self._client = events.database.client
        self._bound = bound
        self._changing = threading.Lock()
        self._tripped = False
        self._topology: object = None
        self._had_primary = False
        self._lost_primary = False

    @property
    def is_open(self) -> bool:
        """Tell whether MongoDB is known to be away; asks nobody."""
        return self._tripped or self._primary_is_lost()

    def within_bound(self) -> AbstractContextManager[None]:
        """Within it this thread waits for MongoDB no longer than the bound, over all it asks
        `in_time`, nor for others that wait for it; what takes longer ends as StoreUnavailable. The
        driver looks for a server in steps of 0.5 s."""
        return deadline(self._bound)

    def record_failure(self, error: StoreUnavailable) -> None:
        """Open it for a failure that the driver found; others say nothing of MongoDB."""
        if not error.away:
            return
        with self._changing:
            if self._tripped:
                return
            self._tripped = True
        log.warning("MongoDB is away", error=str(error))

    def probe(self) -> bool:
        """Ask whether MongoDB takes writes, with one that changes nothing, and close it if so."""
        try:
            # A write that finds nothing waits for the majority and the journal like any other, and
            # so tells more than a greeting; by `_id`, for a sharded cluster must route it.
            with pymongo.timeout(_PROBE_TIMEOUT), translated(self._events.name):
                self._events.update_one(_NOBODY, {"$unset": {"_meta": ""}})
        except StoreUnavailable as error:
            self.record_failure(error)
            return False
        with self._changing:
            was_tripped, self._tripped = self._tripped, False
        if was_tripped:
            log.info("MongoDB is back")
        return True

    def confirms_failure(self) -> bool:
        """Tell whether MongoDB is away, which the log says once for all who find it so; probes
        where that was not said yet."""
        if not self._tripped:
            self.probe()
        return self._tripped

    def _primary_is_lost(self) -> bool:
        """Tell whether there was a server that takes writes, and there is none now. Before the
        first one was found nothing is known."""
        # The description is never changed, only replaced: most calls compare two references.
        topology = self._client.topology_description
        if topology is not self._topology:
            writable = topology.has_writable_server()
            self._had_primary = self._had_primary or writable or _was_in_touch(topology)
            self._lost_primary = self._had_primary and not writable
            self._topology = topology
        return self._lost_primary


def _was_in_touch(topology: TopologyDescription) -> bool:
    """Tell whether the driver knew a primary or a router, though nobody looked meanwhile."""
    return topology.max_election_id is not None or topology.topology_type_name == "Sharded"
