"""Tell the deliveries of a demo: traffic that drifts, with the mishaps real senders have."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from random import Random

from consumer.core.clock import utc_now
from consumer.demo.samples.drifts import DRIFTS, Drift
from consumer.demo.samples.mishaps import BREAK, Sample, encode, positions
from consumer.demo.samples.payloads import Payload, build, moment

# Seconds between two events of the stream, which ends at the clock's time.
_SPACING = 4.0
# One conversation: who does what, in this order.
_CYCLE = (
    "contact.created",
    "agent.state_changed",
    "message.received",
    "case.updated",
    "message.received",
    "contact.ended",
    "disposition.saved",
    "agent.state_changed",
)
# A duplicate follows its original after so many others, for posts from several threads overtake
# each other.
_DUPLICATE_DISTANCE = 8


def scenario(seed: int, count: int, clock: Callable[[], datetime] = utc_now) -> Iterator[Sample]:
    """`count` deliveries, the same for the same seed and clock.

    From 20 on, eight of them are mishaps at fixed shares of the stream: a body again, broken
    JSON, an event without id, a wrong and a missing signature.
    """
    events = _events(Random(seed), count, clock())  # noqa: S311  (nothing here is secret)
    mishaps = positions(count)
    recent: deque[bytes] = deque(maxlen=_DUPLICATE_DISTANCE)
    to_announce = list(DRIFTS)
    for index in range(count):
        mishap = mishaps.get(index)
        if mishap == "duplicate":
            yield Sample(recent[0], "the same body again", "good", "duplicate")
            continue
        payload, drifts = next(events)
        if mishap is not None:
            yield BREAK[mishap](payload)
            continue
        body = encode(payload)
        recent.append(body)
        news = "; ".join(drift.note for drift in drifts if drift in to_announce)
        to_announce = [drift for drift in to_announce if drift not in drifts]
        note = f"{payload['type']}: {news}" if news else payload["type"]
        yield Sample(body, note, "good", "processed")


def traffic(seed: int, count: int, clock: Callable[[], datetime] = utc_now) -> Iterator[bytes]:
    """`count` good bodies without mishaps, for measuring."""
    events = _events(Random(seed), count, clock())  # noqa: S311
    return (encode(payload) for payload, _ in events)


def _events(rng: Random, count: int, end: datetime) -> Iterator[tuple[Payload, list[Drift]]]:
    """Events in order of time with the drifts that shaped each."""
    for number in range(count):
        late = timedelta(seconds=_SPACING * (count - number) - rng.uniform(0, _SPACING))
        now = moment(rng, end - late, number // len(_CYCLE))
        event_type = _CYCLE[number % len(_CYCLE)]
        payload = build(event_type, now)
        drifts = [
            drift
            for drift in DRIFTS
            if drift.event_type == event_type and number >= drift.since * count
        ]
        for drift in drifts:
            drift.apply(payload, now)
        yield payload, drifts
