"""Put into words: reasons and statuses of dead letters, types and changes of schemas."""

from __future__ import annotations

from consumer.core.paths import to_text
from consumer.dead_letters.retry import (
    DISCARDED,
    HELD,
    PARKED,
    PENDING_INSPECTION,
    PENDING_RETRY,
    RESOLVED,
)
from consumer.schemas.json_types import bits
from consumer.schemas.model import BY_HAND, Change

# Each status as somebody who has to decide reads it, and its tone.
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
    "source_unknown": "The source it came by is not in the settings",
    "signature_missing": "It came without a signature",
    "signature_invalid": "Its signature is not that of its body",
    "id_conflict": "An event of this id is stored with other content",
    "contract_hold": "The contract of its type holds the change",
    "constraint_violation": "A unique index or validator refused it",
    "migration_failed": "A stored document could not be backfilled",
    "store_error": "MongoDB refused it",
}
# Each class of change as somebody who reads the data sees it; tones of badges.
KINDS = {
    "field_added": ("new field", "good"),
    "type_widened": ("wider type", "info"),
    "type_conflict": ("type conflict", "bad"),
    "became_map": ("became a map", "warn"),
    "field_retired": ("retired", "warn"),
    "map_undone": ("no longer a map", "info"),
    "name_erased": ("name erased", "warn"),
    "alias_added": ("alias set", "info"),
    "alias_removed": ("alias ended", "warn"),
    "vanished": ("vanished", "bad"),
    "renamed": ("renamed", "bad"),
    "version_lost": ("version lost", "bad"),
}


def kind_words(kind: str) -> tuple[str, str]:
    """The words for a class of change and their tone; its name for one of a newer program."""
    return KINDS.get(kind, (kind, "quiet"))


def types_text(mask: int | None) -> str:
    """`integer | string`; `null` where only null was seen so far."""
    return "" if mask is None else " | ".join(bits(mask)) or "null"


def change_text(change: Change) -> str:
    """`+ customer.tier`, `score: integer → number`."""
    path = to_text(change.path)
    if change.kind == "became_map" or change.kind in BY_HAND:
        return f"{path}: {kind_words(change.kind)[0]}"
    if change.before is None:
        return f"+\u202f{path}"
    return f"{path}: {types_text(change.before)} → {types_text(change.after)}"
