"""What is read in place of a stored body, and what its entry remembers of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bson.binary import Binary

from consumer.core.json_repairs import repair, repair_by_name

EDITED = "edited"


@dataclass(frozen=True, slots=True)
class Corrected:
    """What to read in place of the body. An `edited` one is a body of its own, with its own digest
    as key; a repaired one keeps that of the original."""

    body: bytes
    repairs: tuple[str, ...]
    edited: bool = False


def recorded(entry: Mapping[str, Any]) -> Corrected | None:
    """The correction that somebody made before, when what it led to had to wait."""
    if entry.get("edited_payload") is not None:
        return Corrected(bytes(entry["edited_payload"]), (EDITED,), edited=True)
    found = repair_by_name(bytes(entry["original_payload"]), entry.get("repairs") or ())
    return Corrected(found.body, found.names) if found else None


def first_aid(body: bytes) -> Corrected | None:
    """The body with the repairs that are safe to make unasked; None where they do not help."""
    found = repair(body, safe_only=True)
    return Corrected(found.body, found.names) if found else None


def remembered(corrected: Corrected) -> dict[str, Any]:
    """What an entry must keep of a correction for its next attempt."""
    if corrected.edited:
        return {"edited_payload": Binary(corrected.body)}
    return {"repairs": list(corrected.repairs)}
