"""Make the views of pins, and keep them what the pins and schemas say: by collMod, never over a
collection, never dropped and made again.

The view of a pin stands on a base view, which has the aliases. At each change of a view MongoDB
parses all of the database again: so an alias costs one change, not one for each reader.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from consumer.core.clock import utc_now
from consumer.core.errors import ConsumerError, SetupError, StoreUnavailable
from consumer.mongodb.client import DURABLE, EVENTS, RAW, READERS, Document, OurDatabase
from consumer.mongodb.deadline import unhurried
from consumer.mongodb.errors import translated
from consumer.readers.moment import Masks, Moment, digest
from consumer.readers.pins import Pin, Pins
from consumer.readers.projection import Projection
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
_PLAN = frozenset({"transformBy", "parsedQuery", "$project", "$addFields"})


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
        return self._now().projection(pin)

    def pin(self, pin: Pin) -> None:
        """Make the pin and its view; raises SetupError where something else has its name, or there
        are as many as may be."""
        self._database.require_writable(READERS)
        look = self._now()
        look.pipelines(pin)
        names = {pin.view, base := self.pins.base_of(pin)}
        # In this order, and again: others pin and unpin meanwhile.
        there = self._kinds(names)
        known = self.pins.knows(pin.view)
        others = self.pins.all(pin.subject)
        ours = {pin.view} if known else set()
        for each in (*others, *self.pins.ended()):
            ours |= self.pins.bases_of(each)
        for name, kind in self._kinds(there.keys() - ours).items():
            raise SetupError(
                f'"{name}" is there and was not made by a pin:'
                # MongoDB renames no view.
                f" {'drop' if kind == 'view' else 'rename'} it"
                + (", or choose another name for the reader" if name == pin.view else "")
            )
        self.pins.put(pin)
        # The pin before this one left a base view; that of this one may have been made for others.
        before = next((each.applied for each in others if each.view == pin.view), {})
        on = (each.applied for each in others if each.applied.get("base") == base)
        made = {**before, "base_digest": next(on, {}).get("base_digest", "")}
        try:
            self._renew(replace(pin, applied=made), self._kinds(names), look, anew=(pin.view,))
        except ConsumerError:
            if not known:
                # Without a view it is none; where MongoDB is away the view comes with it.
                with suppress(StoreUnavailable):
                    self.pins.end(pin, pin.at)
            raise

    def unpin(self, pin: Pin, at: datetime) -> None:
        """End the pin and drop its view."""
        self.pins.end(pin, at)
        self._take_away(pin)

    def kinds(self) -> dict[str, str]:
        """The kinds of what has the names of views: each should be `view`. One whose base view is
        not there shows nothing, and is none."""
        bases = {pin.view: self.pins.base_of(pin) for pin in self.pins.all()}
        kinds = self._kinds({*bases, *bases.values()})
        return {
            view: kinds[view]
            for view, base in bases.items()
            if view in kinds and kinds.get(base) == "view"
        }

    def keep(self, stopping: Callable[[], bool]) -> dict[str, Any]:
        """Make every view what it should be, and drop those of ended pins: how many there are, how
        many were changed, and what is wrong."""
        pins, ended = self.pins.all(), self.pins.ended()
        if not pins and not ended:
            return {"views": 0}
        heads = self._registry.subjects()
        for pin in ended:
            if stopping():
                break
            # It may have been pinned again since.
            if pin.view in {each.view for each in self.pins.ended()}:
                self._take_away(pin)
            # Not at once: who is making it just now does not know yet.
            self.pins.forget(pin.view, utc_now() - _FORGOTTEN)
        kinds = self._kinds({*(pin.view for pin in pins), *map(self.pins.base_of, pins)})
        changed = 0
        faults: list[str] = []
        known: list[Pin] = []
        look = self._now()
        for pin in pins:
            if stopping():
                break
            are_views = {kinds.get(pin.view), kinds.get(self.pins.base_of(pin))} == {"view"}
            try:
                key = look.key(pin, heads.get(pin.subject))
                if are_views and pin.applied.get("key") == key:
                    known.append(pin)
                else:
                    changed += self._renew_and_rest(pin, kinds, look)
            except ConsumerError as error:
                if isinstance(error, StoreUnavailable) and error.away:
                    raise
                faults.append(f"{pin.view}: {error}")
        changed += sum(self._altered(known, kinds, look, stopping))
        found = {"views": len(pins), "changed": changed}
        return {**found, "fault": "; ".join(faults[:5])} if faults else found

    def _now(self) -> Moment:
        return Moment(self._registry, self._masks())

    def _altered(
        self,
        pins: list[Pin],
        kinds: Mapping[str, str],
        look: Moment,
        stopping: Callable[[], bool],
    ) -> Iterator[int]:
        """Make again, some in each round, the views that others altered, as a restore may."""
        until = monotonic() + _LOOK
        for _ in range(min(len(pins), max(_FEW, len(pins) // 2 + 1))):
            if stopping() or monotonic() > until:
                return
            self._next = (self._next + 1) % len(pins)
            pin = pins[self._next]
            if self._seen(pin.view) != pin.applied.get("seen"):
                base = self.pins.base_of(pin)
                is_base_right = self._seen(base) == self._seen_of(look.pipelines(pin)[0])
                anew = (pin.view if is_base_right else base,)
                yield self._renew_and_rest(pin, kinds, look, anew)

    def _renew_and_rest(
        self, pin: Pin, kinds: Mapping[str, str], look: Moment, anew: Collection[str] = ()
    ) -> int:
        """Leave MongoDB to others as long as it parsed all views."""
        begin = monotonic()
        if changed := self._renew(pin, kinds, look, anew):
            sleep(min(monotonic() - begin, _REST))
        return changed

    def _renew(
        self, pin: Pin, kinds: Mapping[str, str], look: Moment, anew: Collection[str] = ()
    ) -> int:
        """Make the view and its base view what the pin and its schema say, where they are not known
        to be, or are to be made `anew`: how many were made. `kinds` of what has their names."""
        base, (below, steps) = self.pins.base_of(pin), look.pipelines(pin)
        applied = {"base": base, "base_digest": digest(below), "digest": digest([base, steps])}
        changed = 0
        for view, on, stages, name in (
            (base, EVENTS, below, "base_digest"),
            (pin.view, base, steps, "digest"),
        ):
            if (kind := kinds.get(view)) not in (None, "view"):
                raise SetupError(f'"{view}" is a {kind}, and nothing of ours: rename it')
            is_known = kind == "view" and pin.applied.get(name) == applied[name]
            if (view in anew or not is_known) and (view, applied[name]) not in look.made:
                self._define(view, on, stages)
                look.made.add((view, applied[name]))
                changed += 1
        if (left := pin.applied.get("base")) not in (None, base):
            self._leave(left, pin)
        # Of the pipelines, not of the view: that may be another's by now.
        if changed or not applied.items() <= pin.applied.items():
            if (whole := digest([below, steps])) not in look.seen:
                look.seen[whole] = self._seen_of([*below, *steps])
            applied["seen"] = look.seen[whole]
        self.pins.set_applied(pin, {**pin.applied, **applied, "key": look.key(pin)})
        return changed

    def _define(self, view: str, on: str, stages: list[Document]) -> None:
        command: Document = {"viewOn": on, "pipeline": stages}
        command["writeConcern"] = DURABLE.document
        with translated(view), unhurried():
            # Others make and drop it meanwhile; where a collection came in between, no collMod
            # makes a view of it.
            for what, passed in (*_TURNS, *_TURNS, ("collMod", None)):
                try:
                    self._database.command({what: view, **command})
                    break
                except OperationFailure as error:
                    if error.code != passed:
                        raise

    def _take_away(self, pin: Pin) -> None:
        """Drop the view of a pin that was ended, and its base view, unless others stand on it."""
        self._drop(pin.view)
        for base in self.pins.bases_of(pin):
            self._leave(base, pin)

    def _leave(self, base: str, left: Pin) -> None:
        """Drop a base view on which the pin's view stands no more, unless others do."""
        if self._on(base, left) is None:
            self._drop(base)
            # Who pinned meanwhile found it there.
            if pin := self._on(base, left):
                self._define(base, EVENTS, self._now().pipelines(pin)[0])

    def _on(self, base: str, left: Pin) -> Pin | None:
        """A pin whose view is, or should be, on a base view that another one left."""
        for pin in self.pins.all(left.subject):
            is_on = pin.applied.get("base") == base and pin.view != left.view
            if is_on or self.pins.base_of(pin) == base:
                return pin
        return None

    def _drop(self, view: str) -> None:
        if self._kinds([view]).get(view) == "view":
            with translated(view):
                self._database.drop_collection(view)

    def _kinds(self, names: Iterable[str]) -> dict[str, str]:
        with translated(READERS):
            return kinds_of(self._database, names)

    def _seen(self, view: str) -> str:
        """A digest of what MongoDB makes of a view: it shows the pipeline of none without those of
        all."""
        return self._explained({"find": view, "filter": _NOBODY, "limit": 1})

    def _seen_of(self, stages: list[Document]) -> str:
        """The same of the view that has these stages."""
        stages = [*stages, {"$match": _NOBODY}, {"$limit": 1}]
        return self._explained({"aggregate": EVENTS, "pipeline": stages, "cursor": {}})

    def _explained(self, asked: Document) -> str:
        with translated(EVENTS):
            plan = self._database.command(
                "explain", asked, verbosity="queryPlanner", codec_options=_PLANS
            )
        return digest(sorted(set(_parts(plan))))


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
