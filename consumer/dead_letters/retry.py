"""Define the statuses of a dead letter, and the next one after an attempt that failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from consumer.core.errors import ConsumerError, Held, MalformedJson

PENDING_INSPECTION = "pending_inspection"
PENDING_RETRY = "pending_retry"
HELD = "held"
PARKED = "parked"
RESOLVED = "resolved"
DISCARDED = "discarded"
# The sweep may try those that are open, a person those that are unresolved.
OPEN = (PENDING_INSPECTION, PENDING_RETRY, HELD)
UNRESOLVED = (*OPEN, PARKED)
ENDED = (DISCARDED, RESOLVED)
STATUSES = (*UNRESOLVED, *ENDED)

# The first status of an entry: whether waiting alone, a person or another setting can help.
FIRST_STATUS: Mapping[str, str] = {
    "contract_hold": HELD,
    "id_conflict": HELD,
    "source_unknown": HELD,
    "constraint_violation": HELD,
    "store_error": PENDING_RETRY,
}
# What the next sweep tries without waiting for a change: a refusal of the store, which may pass,
# and a malformed body, which gets one attempt with the safe repairs.
DUE_AT_FIRST = frozenset({"store_error", "malformed_json"})


@dataclass(frozen=True, slots=True)
class RetryRules:
    """`attempts` in all before an entry is parked; waits are in seconds and double from `base` up
    to `longest`; `auto_repair` lets the sweep make safe repairs."""

    attempts: int = 10
    base: float = 30.0
    longest: float = 3600.0
    auto_repair: bool = True

    def wait(self, attempts: int, jitter: float) -> timedelta:
        """The wait after so many attempts; `jitter` from 0 to 1 spreads the upper half."""
        # The exponent is bounded, for a large one overflows a float.
        whole = min(self.longest, self.base * 2.0 ** min(attempts - 1, 60))
        return timedelta(seconds=whole * (0.5 + jitter / 2))


@dataclass(frozen=True, slots=True)
class NextState:
    """State of an entry that waits: `at` is when the sweep tries again, None: not by time alone."""

    status: str
    at: datetime | None = None


def state_after(
    error: ConsumerError,
    *,
    was: str,
    attempts: int,
    now: datetime,
    rules: RetryRules,
    jitter: float,
) -> NextState:
    """The state after attempt number `attempts` (from 1) that ended with `error`; `was` is the
    reason for which the entry waited before."""
    if error.retryable:
        if attempts >= rules.attempts:
            return NextState(PARKED)
        return NextState(PENDING_RETRY, now + rules.wait(attempts, jitter))
    if isinstance(error, Held):
        return NextState(HELD)
    if isinstance(error, MalformedJson) and was != MalformedJson.reason:
        # Only now that the signature is right is it known to be malformed: its one attempt is due.
        return NextState(PENDING_INSPECTION, now)
    return NextState(PENDING_INSPECTION)
