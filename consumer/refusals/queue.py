"""Let refused deliveries wait for their turn, off the request path."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from itertools import count

import structlog

from consumer.errors import SignatureError, StoreUnavailable
from consumer.events import Delivery, Headers
from consumer.metrics import Metrics
from consumer.metrics.table import REFUSALS_DROPPED
from consumer.refusals.bounds import Bounds
from consumer.refusals.peers import KnownPeers
from consumer.refusals.room import Room

log = structlog.get_logger(__name__)

# A flood of forged deliveries must not become a flood of writes.
_KEPT_A_SECOND = 200


class Refusals:
    """A bounded queue and the thread that empties it into `keep`; those of known peers go first,
    and at the bounds whoever has most waiting loses one.

    `offer` never blocks and never raises: whoever cannot sign has no claim on this service's time.
    """

    def __init__(
        self,
        *,
        keep: Callable[[Delivery, SignatureError], None],
        peers: KnownPeers,
        bounds: Bounds,
        metrics: Metrics,
    ) -> None:
        self._keep = keep
        self._peers = peers
        self._metrics = metrics
        self._numbers = count(1)
        self._room = Room(bounds.queue_count, bounds.queue_bytes)
        # By whether their peers are known.
        self._waiting: dict[bool, OrderedDict[str, tuple[Delivery, SignatureError]]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }
        self._changed = threading.Condition()
        self._handling = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Keep what waits, for at most `timeout` seconds, and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout)

    def settle(self, timeout: float) -> bool:
        """Wait until everything offered so far is kept; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._room or self._handling), timeout)

    def offer(self, delivery: Delivery, error: SignatureError) -> None:
        """Take a refused delivery to be kept and looked into; when the queue is full another goes
        for it, or it is dropped, and either is counted."""
        size, known = len(delivery.body), delivery.peer in self._peers
        with self._changed:
            if not self._stopping and self._make_room(size, known=known):
                _id = str(next(self._numbers))
                # The environ behind the headers ends with the request: copy those worth keeping.
                kept = Delivery(
                    delivery.id,
                    delivery.body,
                    Headers(delivery.headers),
                    delivery.received_at,
                    peer=delivery.peer,
                )
                # A new error: the one on its way up holds the frames of the whole request.
                self._waiting[known][_id] = (kept, type(error)(str(error)))
                self._room.add(_id, delivery.peer, 0, size, known=known)
                self._changed.notify_all()
                return
        self._metrics.count(REFUSALS_DROPPED, bound="queue")

    def _make_room(self, size: int, *, known: bool) -> bool:
        has_room, losers = self._room.make(size, known=known)
        for loser in losers:
            for waiting in self._waiting.values():
                waiting.pop(loser, None)
            self._metrics.count(REFUSALS_DROPPED, bound="queue")
        return has_room

    def _run(self) -> None:
        # Until the book is read everybody is a stranger; without MongoDB that stays so.
        with suppress(StoreUnavailable):
            self._peers.learn()
        while True:
            with self._changed:
                while not self._room and not self._stopping:
                    self._changed.wait()
                if not self._room:
                    return
                waiting = self._waiting[True] or self._waiting[False]
                _id, (delivery, error) = waiting.popitem(last=False)
                self._room.remove(_id)
                self._handling = True
                stopping = self._stopping
            try:
                self._keep(delivery, error)
            except StoreUnavailable:
                self._metrics.count(REFUSALS_DROPPED, bound="store")
            except Exception:
                # This thread serves every refusal to come; one that breaks it is told and dropped.
                log.exception("refused delivery could not be kept", delivery=delivery.id)
                self._metrics.count(REFUSALS_DROPPED, bound="fault")
            with self._changed:
                self._handling = False
                self._changed.notify_all()
                if not stopping:
                    self._changed.wait_for(lambda: self._stopping, 1 / _KEPT_A_SECOND)
