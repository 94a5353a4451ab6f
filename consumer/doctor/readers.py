"""Examine whether the views of readers can be made, and are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from consumer.core.text import safe
from consumer.doctor.check import Check, Target
from consumer.doctor.rights import covers, privileges
from consumer.mongodb.client import READERS
from consumer.readers.pins import Pins
from consumer.readers.views import kinds_of

NAME = "reader views"
_NEEDED = ("find", "createCollection", "collMod", "dropCollection")
_MAX_SHOWN = 20


def examine(target: Target) -> Iterator[Check]:
    db = target.database
    pins = Pins(db[READERS])
    pinned = pins.all()
    # Each base view once: several stand on it.
    views = dict.fromkeys(name for pin in pinned for name in (pin.view, pins.base_of(pin)))
    lacking = _lacking(privileges(db), db.name, list(views))
    if lacking:
        yield Check(
            NAME,
            "fail" if pinned else "warn",
            f"this user may not make views for readers: it lacks {', '.join(lacking)}",
            f"grant the role readWrite on {db.name}",
        )
    kinds = kinds_of(db, views)
    wrong = [(view, kinds.get(view)) for view in views if kinds.get(view) != "view"]
    for view, kind in wrong[:_MAX_SHOWN]:
        found = f"{view} is a {kind}" if kind else f"{view} is missing"
        advice = (
            "rename it: the service makes the view within a minute"
            if kind
            else ("the service makes it within a minute; the screen of jobs says what keeps it")
        )
        yield Check(NAME, "warn", safe(found), advice)
    if not lacking and not wrong:
        yield Check(NAME, "ok", f"{len(pinned):,} pinned, each with its view" if pinned else "none")


def _lacking(
    granted: Sequence[Mapping[str, Any]] | None, database: str, views: Sequence[str]
) -> list[str]:
    """The actions on views that no privilege grants: for those there are, else for any name."""
    if granted is None:
        return []

    def has(action: str, name: str) -> bool:
        return any(
            covers(each["resource"], database, name) and {action, "anyAction"} & {*each["actions"]}
            for each in granted
        )

    return [action for action in _NEEDED if not all(has(action, name) for name in views or ("\0",))]
