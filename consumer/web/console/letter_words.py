"""Say reasons and statuses of dead letters in words."""

from __future__ import annotations

from consumer.retry_rules import (
    DISCARDED,
    HELD,
    PARKED,
    PENDING_INSPECTION,
    PENDING_RETRY,
    RESOLVED,
)

# What each status means to somebody who has to decide, and its tone.
STATUSES = {
    PENDING_INSPECTION: ("to inspect", "warn"),
    PENDING_RETRY: ("to retry", "info"),
    HELD: ("held", "warn"),
    PARKED: ("parked", "bad"),
    RESOLVED: ("resolved", "good"),
    DISCARDED: ("discarded", "quiet"),
}
REASONS = {
    "malformed_json": "The body is no JSON",
    "missing_fields": "Id or type is missing",
    "unstorable": "MongoDB cannot hold a value of it unaltered",
    "too_deep": "It is nested deeper than is stored",
    "signature_missing": "It came without a signature",
    "signature_invalid": "Its signature is not that of its body",
    "id_conflict": "An event of this id is stored with other content",
    "contract_hold": "The contract of its type holds the change",
    "constraint_violation": "A unique index or validator refused it",
    "migration_failed": "A stored document could not be backfilled",
    "store_error": "MongoDB refused it",
}
