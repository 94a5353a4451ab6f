"""List this process among those that run, with the facts that only it knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from consumer.core.clock import utc_now
from consumer.core.ratelimit import RateLimit
from consumer.monitoring.instances import BEAT_EVERY, CLOCK_TOLERANCE, Instance, Instances

log = structlog.get_logger(__name__)

# From here on what this process stamps may come after its slice was closed.
_SLOW = timedelta(seconds=CLOCK_TOLERANCE / 2)
# Between two heartbeats, and while MongoDB takes an event.
_SINCE = timedelta(seconds=BEAT_EVERY + 60)
# Seconds between two lines about the clock.
_WARN_EVERY = 3600.0


class Heartbeat:
    """The job of every process that lists it in `status`.

    `facts` are storable as BSON; `spool` in it is displayed: {depth, bytes, oldest, fault}.
    `mark_late` is called with the time from which on events may be stamped that come late, for
    this clock is behind MongoDB's. `ahead` is how far it is ahead of it.
    """

    def __init__(
        self,
        instances: Instances,
        instance: Instance,
        facts: Callable[[], Mapping[str, Any]] = dict,
        mark_late: Callable[[datetime], object] = lambda _: None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._instances = instances
        self._instance = instance
        self._facts = facts
        self._mark_late = mark_late
        self._clock = clock
        self._warnings = RateLimit(_WARN_EVERY, clock)
        self._behind = False
        self.ahead = timedelta(0)

    def __call__(self) -> None:
        """Write the heartbeat; raises StoreUnavailable."""
        apart = self._instances.beat(self._instance, self._facts(), self._clock)
        self.ahead = max(apart, timedelta(0))
        seconds = apart.total_seconds()
        if abs(seconds) > CLOCK_TOLERANCE and self._warnings.allow("clock") is not None:
            way = "ahead of" if seconds > 0 else "behind"
            log.warning(f"the clock is {way} MongoDB's: set both by NTP", seconds=abs(seconds))
        self._behind = apart < -_SLOW
        if self._behind:
            self._mark_late(self._clock() - _SINCE)

    def finish(self) -> None:
        """Leave the list when the process ends as it should; raises StoreUnavailable."""
        if self._behind:
            # What it stored since the last heartbeat.
            self._mark_late(self._clock() - _SINCE)
        self._instances.leave(self._instance)
