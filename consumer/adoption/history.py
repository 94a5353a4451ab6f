"""Read adoption for charts: documents by version, and events that producers sent by hour."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from pymongo.database import Database

from consumer.adoption.counts import NOTHING
from consumer.adoption.events import Group
from consumer.adoption.rollup import adoption_stores
from consumer.adoption.state import State
from consumer.core.errors import StoreUnavailable
from consumer.mongodb.client import Document
from consumer.mongodb.deadline import within

# Seconds that counting what came since the last roll-up may take: a look at an index.
_LIVE = 0.3


@dataclass(frozen=True, slots=True)
class Counted:
    """Documents by subject and version. `upto`: what came later is not in it; None: all is."""

    documents: Mapping[str, Mapping[int, int]]
    upto: datetime | None


@dataclass(frozen=True, slots=True)
class Sent:
    """Events of one subject by hour and exhibited version; `upto` as in Counted."""

    hours: Mapping[datetime, Mapping[int, int]]
    upto: datetime | None


class AdoptionHistory:
    """The counts of the adoption job, and the few minutes that it has not counted yet.

    A screen waits for it: nothing is counted over the whole collection, and what the job has not
    counted is looked at briefly, once in `fresh` seconds for all who ask. `report` makes the
    figures of one moment, however long that takes. Every method raises StoreUnavailable.
    """

    def __init__(
        self,
        db: Database[Document],
        fresh: float = 0.0,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._stores = adoption_stores(db)
        self._fresh = fresh
        self._now = now
        self._looking = threading.Lock()
        self._looked: tuple[State, float, list[Group] | None] | None = None

    def documents(self) -> Counted:
        """The number of documents of each subject and version."""
        state = self._stores.state.current()
        found: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        if state is None:
            return Counted(found, None)
        totals = self._stores.totals.all(state.generation)
        for (subject, version), total in totals.items():
            found[subject][version] += total.count
        for hour in self._stores.counts.hours(state.generation, state.summed, None):
            if hour.hour > totals.get((hour.subject, hour.version), NOTHING).added:
                found[hour.subject][hour.version] += hour.before(state.counted)
        live = self._live(state)
        for group in live or ():
            found[group.subject][group.version] += group.count
        return Counted(found, state.counted if live is None else None)

    def sent(self, subject: str, hours: list[datetime]) -> Sent:
        """The events of one subject that producers sent in these hours."""
        state = self._stores.state.current()
        found: defaultdict[datetime, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        if state is None:
            return Sent(found, None)
        for each in self._stores.counts.of(state.generation, subject, hours):
            found[each.hour][each.exhibited] += each.before(state.counted)
        live = self._live(state)
        for group in live or ():
            if group.subject == subject and group.at in hours:
                found[group.at][group.exhibited] += group.count
        return Sent(found, state.counted if live is None else None)

    def _live(self, state: State) -> list[Group] | None:
        """The events since the last count; None when there are too many to look at now."""
        with self._looking:
            if self._looked is not None:
                # What another state left uncounted may be in the counts by now.
                of, at, found = self._looked
                if of == state and self._now() - at < self._fresh:
                    return found
            found = self._look(state)
            self._looked = state, self._now(), found
            return found

    def _look(self, state: State) -> list[Group] | None:
        try:
            with within(_LIVE):
                return self._stores.events.count(state.counted, None, "hour")
        except StoreUnavailable:
            return None
