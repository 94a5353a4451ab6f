"""Refused deliveries wait within bounds, and without the requests they came with."""

from __future__ import annotations

import gc
from weakref import ref

from consumer.core.clock import utc_now
from consumer.core.delivery import Delivery, Headers
from consumer.core.errors import SignatureInvalid
from consumer.core.metrics import Metrics
from consumer.dead_letters.refusal_notes import KnownPeers
from consumer.dead_letters.refused import RefusalLimits, RefusalQueue


class Nobody:
    """A book of senders in which there are none."""

    def add_peers(self, peers: list[str]) -> None: ...

    def peers(self) -> frozenset[str]:
        return frozenset()


class Request:
    """Stands for all that the frames of a request hold."""


def refuse(refusals: RefusalQueue) -> ref[Request]:
    request = Request()
    delivery = Delivery("1", b"{}", Headers({}), utc_now())
    try:
        fail()
    except SignatureInvalid as error:
        refusals.offer(delivery, error)
    return ref(request)


def fail() -> None:
    raise SignatureInvalid("forged")


def test_what_waits_to_be_kept_holds_no_frames_of_its_request() -> None:
    # Nothing takes what waits before `start`.
    kept: list[Delivery] = []
    refusals = RefusalQueue(
        store=lambda delivery, *_: kept.append(delivery),
        peers=KnownPeers(Nobody()),
        limits=RefusalLimits(10, 1000),
        metrics=Metrics(),
    )

    request = refuse(refusals)
    gc.collect()

    assert len(refusals._quota) == 1
    assert kept == []
    assert request() is None
