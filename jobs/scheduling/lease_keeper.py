"""Renew one lease while a job runs, and know that it is lost before anyone else can have it."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from consumer.core.errors import StoreUnavailable
from consumer.mongodb.leases import Lease, Leases

# Parts of the lease time: renew after a third, so that two may fail; take it as lost a sixth before
# it ends, so that the job has that long to stop.
_RENEW_AFTER = 3
_GIVE_UP_BEFORE = 6


class LeaseKeeper:
    """A granted lease on this process's monotonic clock; renewed by one thread, read by any."""

    def __init__(self, leases: Leases, lease: Lease, now: Callable[[], float] = monotonic) -> None:
        self._leases = leases
        self._now = now
        self._lost = False
        self._try_at = lease.until - leases.seconds + leases.seconds / _RENEW_AFTER
        self.lease = lease

    @property
    def margin(self) -> float:
        """Seconds: the longest pause between two calls of `renew_when_due`, the longest that a
        renewal may take, and the time before the lease ends at which it counts as lost."""
        return self._leases.seconds / _GIVE_UP_BEFORE

    def lost(self) -> bool:
        """Say if the lease is gone or about to be; once lost it stays so."""
        if not self._lost and self._now() >= self.lease.until - self.margin:
            self._lost = True
        return self._lost

    def renew_when_due(self) -> None:
        """Renew after a third of the lease time; what fails is tried again at the next call."""
        if self.lost() or self._now() < self._try_at:
            return
        try:
            renewed = self._leases.renew(self.lease, self.margin)
        except StoreUnavailable:
            return
        if renewed is None:
            self._lost = True
            return
        self.lease = renewed
        self._try_at = renewed.until - self._leases.seconds + self._leases.seconds / _RENEW_AFTER

    def release(self, due_after: float | None, succeeded: bool) -> None:
        """Release the lease, as Leases.release says; raises StoreUnavailable."""
        self._leases.release(self.lease, due_after=due_after, succeeded=succeeded)
