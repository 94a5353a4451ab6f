"""Say types and changes of schemas in words."""

from __future__ import annotations

from consumer.schema.jsontypes import bits
from consumer.schema.model import BY_HAND, Change
from consumer.schema.paths import to_text

# What each class of change means to somebody who reads the data; tones of badges.
KINDS = {
    "field_added": ("new field", "good"),
    "type_widened": ("wider type", "info"),
    "type_conflict": ("type conflict", "bad"),
    "became_map": ("became a map", "warn"),
    "field_retired": ("retired", "warn"),
    "map_undone": ("no longer a map", "info"),
    "name_erased": ("name erased", "warn"),
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
