"""Make the views of pins, and keep them what the pins and schemas say: by collMod, never over a
collection, never dropped and made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from importlib.metadata import version as release_of
from time import monotonic, sleep
from typing import Any, Protocol

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from consumer.core.clock import EPOCH, utc_now
from consumer.core.errors import ConsumerError, SetupError, StoreUnavailable
from consumer.core.paths import Path
from consumer.mongodb.client import DURABLE, EVENTS, RAW, READERS, Document, OurDatabase
from consumer.mongodb.deadline import unhurried
from consumer.mongodb.errors import translated
from consumer.readers.pins import Pin, Pins
from consumer.readers.projection import Projection, projection_of
from consumer.readers.view import pipeline
from consumer.schemas.model import SchemaVersion
from consumer.schemas.registry.registry import SchemaRegistry

# What changes or makes a view, and the error that says it is, or is not, there.
_TURNS = (("collMod", 26), ("create", 48))
# Seconds a round takes at most to look whether somebody else altered views: at half of them, or at
# this many, so that all are looked at within a minute.
_LOOK = 4.0
_FEW = 25
# At most, behind each view that was made anew.
_REST = 1.0
_FORGOTTEN = timedelta(minutes=1)
_NOBODY: Document = {"_id": ""}
# MongoDB cuts long texts in a plan, also amid a character.
_PLANS = RAW.with_options(unicode_decode_error_handler="replace")
_PLAN = frozenset({"transformBy", "parsedQuery", "$project"})


def kinds_of(database: OurDatabase, names: Iterable[str]) -> dict[str, str]:
    """The kinds of those of these names that exist: each should be `view`. Options are not asked
    for: those of views are their pipelines. Raises PyMongoError."""
    wanted = {"name": {"$in": list(names)}}
    rows = database.list_collections(filter=wanted, nameOnly=True, authorizedCollections=True)
    return {row["name"]: row.get("type", "collection") for row in rows}


def role(database: str, view: str) -> Document:
    """The role that a reader of a view needs, as createRole takes it."""
    resource = {"db": database, "collection": view}
    return {
        "role": view,
        "privileges": [{"resource": resource, "actions": ["find"]}],
        "roles": [],
    }


class Masks(Protocol):
    """Rules of CXONE_REDACT."""

    def of(self, subject: str | None) -> Masks:
        """Those of one subject alone."""

    def hides(self, path: Path) -> bool:
        """True where values at a path of a schema are hidden."""

    def without_hidden(self, version: SchemaVersion) -> SchemaVersion:
        """The version without the fields whose names are hidden."""

    @property
    def fingerprint(self) -> str:
        """Text that differs where something else is hidden."""


class Views:
    """The views of a database. Who pins or unpins records it in the audit first."""

    def __init__(
        self,
        database: OurDatabase,
        pins: Pins,
        registry: SchemaRegistry,
        masks: Callable[[], Masks],
    ) -> None:
        """`masks` are those of all processes, as they are now."""
        self._database = database
        self._registry = registry
        self._masks = masks
        self._next = 0
        self.pins = pins

    @property
    def database_name(self) -> str:
        return self._database.name

    def projection(self, pin: Pin) -> Projection:
        """The projection of a pin as things are; raises SetupError where its version is gone."""
        return self._round().projection(pin)

    def pin(self, pin: Pin) -> None:
        """Make the pin and its view; raises SetupError where something else has its name, or there
        are as many as may be."""
        self._database.require_writable(READERS)
        look = self._round()
        steps = look.steps(pin)
        # In this order, and again: others pin and unpin meanwhile.
        there = self._kinds([pin.view])
        known = self.pins.knows(pin.view)
        if there and not known and self._kinds([pin.view]):
            raise SetupError(
                f'"{pin.view}" is there and was not made by a pin: rename it, or choose another'
                " name for the reader"
            )
        self.pins.put(pin)
        try:
            self._apply(pin, self._kinds([pin.view]).get(pin.view), steps, look.key(pin))
        except ConsumerError:
            if not known:
                # Without a view it is none; where MongoDB is away the view comes with it.
                with suppress(StoreUnavailable):
                    self.pins.end(pin, pin.at)
            raise

    def unpin(self, pin: Pin, at: datetime) -> None:
        """End the pin and drop its view."""
        self.pins.end(pin, at)
        self._drop(pin.view, self._kinds([pin.view]).get(pin.view))

    def kinds(self) -> dict[str, str]:
        """The kinds of what has the names of views: each should be `view`."""
        return self._kinds([pin.view for pin in self.pins.all()])

    def keep(self, stopping: Callable[[], bool]) -> dict[str, Any]:
        """Make every view what it should be, and drop those of ended pins: how many there are, how
        many were changed, and what is wrong."""
        pins, ended = self.pins.all(), self.pins.ended()
        if not pins and not ended:
            return {"views": 0}
        heads = self._registry.subjects()
        kinds = self._kinds([*(pin.view for pin in pins), *ended])
        for view in ended:
            if stopping():
                break
            # It may have been pinned again since.
            if view in self.pins.ended():
                self._drop(view, kinds.get(view))
            # Not at once: who is making it just now does not know yet.
            self.pins.forget(view, utc_now() - _FORGOTTEN)
        changed = 0
        faults: list[str] = []
        known: list[Pin] = []
        look = self._round()
        for pin in pins:
            if stopping():
                break
            kind = kinds.get(pin.view)
            try:
                if kind == "view" and pin.applied.get("key") == look.key(
                    pin, heads.get(pin.subject)
                ):
                    known.append(pin)
                    continue
                begin = monotonic()
                if self._renew(pin, kind, look):
                    changed += 1
                    _rest(monotonic() - begin)
            except ConsumerError as error:
                if isinstance(error, StoreUnavailable) and error.away:
                    raise
                faults.append(f"{pin.view}: {error}")
        changed += sum(self._altered(known, look, stopping))
        found = {"views": len(pins), "changed": changed}
        return {**found, "fault": "; ".join(faults[:5])} if faults else found

    def _round(self) -> _Round:
        return _Round(self._registry, self._masks())

    def _renew(self, pin: Pin, kind: str | None, look: _Round) -> bool:
        """Make the view what the pin and its schema say; True where it was something else."""
        steps = look.steps(pin)
        if kind == "view" and _digest(steps) == pin.applied.get("digest"):
            self.pins.set_applied(pin, {**pin.applied, "key": look.key(pin)})
            return False
        self._apply(pin, kind, steps, look.key(pin))
        return True

    def _altered(
        self, pins: list[Pin], look: _Round, stopping: Callable[[], bool]
    ) -> Iterator[bool]:
        """Make again, some in each round, the views that others altered, as a restore may."""
        until = monotonic() + _LOOK
        for _ in range(min(len(pins), max(_FEW, len(pins) // 2 + 1))):
            if stopping() or monotonic() > until:
                return
            self._next = (self._next + 1) % len(pins)
            pin = pins[self._next]
            asked = {"find": pin.view, "filter": _NOBODY, "limit": 1}
            if self._seen(asked) != pin.applied.get("seen"):
                begin = monotonic()
                self._apply(pin, "view", look.steps(pin), look.key(pin))
                _rest(monotonic() - begin)
                yield True

    def _apply(self, pin: Pin, kind: str | None, steps: list[Document], key: str) -> None:
        if kind not in (None, "view"):
            raise SetupError(f'"{pin.view}" is a {kind}, and nothing of ours: rename it')
        command: Document = {"viewOn": EVENTS, "pipeline": steps}
        command["writeConcern"] = DURABLE.document
        with translated(pin.view), unhurried():
            # Others make and drop it meanwhile; where a collection came in between, no collMod
            # makes a view of it.
            for what, passed in (*_TURNS, *_TURNS, ("collMod", None)):
                try:
                    self._database.command({what: pin.view, **command})
                    break
                except OperationFailure as error:
                    if error.code != passed:
                        raise
        # Of the pipeline, not of the view: that may be another's by now.
        asked = {"aggregate": EVENTS, "pipeline": [*steps, {"$match": _NOBODY}, {"$limit": 1}]}
        seen = self._seen({**asked, "cursor": {}})
        made = {"key": key, "digest": _digest(steps), "seen": seen}
        self.pins.set_applied(pin, made)

    def _drop(self, view: str, kind: str | None) -> None:
        if kind == "view":
            with translated(view):
                self._database.drop_collection(view)

    def _kinds(self, names: Iterable[str]) -> dict[str, str]:
        with translated(READERS):
            return kinds_of(self._database, names)

    def _seen(self, asked: Document) -> str:
        """A digest of what MongoDB makes of a view or of its pipeline: it shows the pipeline of
        none without those of all."""
        with translated(EVENTS):
            plan = self._database.command(
                "explain", asked, verbosity="queryPlanner", codec_options=_PLANS
            )
        return _digest(sorted(set(_parts(plan))))


class _Round:
    """The versions and masks of one moment, each read once."""

    def __init__(self, registry: SchemaRegistry, masks: Masks) -> None:
        self._registry = registry
        self._masks = masks
        self._release = release_of("cxone-consumer")
        self._heads: dict[str, SchemaVersion | None] = {}
        self._versions: dict[tuple[str, int], SchemaVersion | None] = {}
        self._steps: dict[str, list[Document]] = {}

    def head(self, subject: str) -> SchemaVersion | None:
        if subject not in self._heads:
            self._heads[subject] = self._registry.refreshed(subject)
        return self._heads[subject]

    def projection(self, pin: Pin) -> Projection:
        """The projection of a pin; raises SetupError where its version is gone."""
        head, at = self.head(pin.subject), (pin.subject, pin.version)
        if at not in self._versions:
            self._versions[at] = self._registry.version(*at)
        version = self._versions[at]
        if head is None or version is None:
            raise SetupError(f'schema "{pin.subject}" has no version {pin.version}')
        if not pin.redact:
            return projection_of(pin, version, head)
        shown = self._masks.without_hidden(version)
        return projection_of(pin, shown, head, self._masks.of(pin.subject).hides)

    def steps(self, pin: Pin) -> list[Document]:
        """The pipeline of a pin's view, made once for all readers that see the same."""
        sees = replace(pin, view="", reader="", at=EPOCH, by="", uses=()).to_document()
        if (key := _digest(sees)) not in self._steps:
            self._steps[key] = pipeline(self.projection(pin))
        return self._steps[key]

    def key(self, pin: Pin, number: int | None = None) -> str:
        """Text that is another where the view may have to be. `number`: that of the head, where it
        is known."""
        if number is None:
            head = self.head(pin.subject)
            number = head.number if head else 0
        says = {**pin.to_document(), "at": None, "by": None}
        masks = self._masks.fingerprint if pin.redact else ""
        return _digest([says, number, masks, self._release])


def _rest(took: float) -> None:
    """Leave MongoDB to others as long as it parsed all views."""
    sleep(min(took, _REST))


def _digest(value: Any) -> str:
    return sha256(bson.encode({"": value})).hexdigest()


def _parts(plan: Any) -> Iterator[bytes]:
    if isinstance(plan, RawBSONDocument):
        for key, value in plan.items():
            if key in _PLAN and isinstance(value, RawBSONDocument):
                # MongoDB tells what is shown unaltered in an order that changes.
                yield bson.encode(dict(sorted(value.items(), key=_by_name_unless_computed)))
            elif key != "command":
                yield from _parts(value)
    elif isinstance(plan, list):
        for each in plan:
            yield from _parts(each)


def _by_name_unless_computed(field: tuple[str, Any]) -> str:
    return "" if isinstance(field[1], RawBSONDocument) else field[0]
