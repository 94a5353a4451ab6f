"""Decide what becomes of a dead letter after an attempt that did not help."""

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

# How an entry begins: whether waiting alone, a person or another setting can help.
FIRST_STATUS: Mapping[str, str] = {
    "contract_hold": HELD,
    "id_conflict": HELD,
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
        """How long to wait after so many attempts; `jitter` from 0 to 1 spreads the upper half."""
        # The exponent is bounded, for a large one overflows a float.
        whole = min(self.longest, self.base * 2.0 ** min(attempts - 1, 60))
        return timedelta(seconds=whole * (0.5 + jitter / 2))


@dataclass(frozen=True, slots=True)
class Next:
    """How an entry waits on: `at` is when the sweep tries again, None: not by waiting alone."""

    status: str
    at: datetime | None = None


def after(
    error: ConsumerError,
    *,
    was: str,
    attempts: int,
    now: datetime,
    rules: RetryRules,
    jitter: float,
) -> Next:
    """What follows the attempt number `attempts` (from 1) that ended with `error`; `was` is the
    reason for which the entry waited before."""
    if error.retryable:
        if attempts >= rules.attempts:
            return Next(PARKED)
        return Next(PENDING_RETRY, now + rules.wait(attempts, jitter))
    if isinstance(error, Held):
        return Next(HELD)
    if isinstance(error, MalformedJson) and was != MalformedJson.reason:
        # Only now that the signature is right is it known to be malformed: its one attempt is due.
        return Next(PENDING_INSPECTION, now)
    return Next(PENDING_INSPECTION)
