"""Count which fields the newest events send, and keep the signals that this shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from consumer.core import metrics_table as names
from consumer.core.clock import EPOCH, HOUR
from consumer.core.metrics import Metrics
from consumer.core.paths import Path
from consumer.events.recent import RecentEvents
from consumer.mongodb.errors import FOREIGN
from consumer.schemas.check import CompiledSchema
from consumer.schemas.model import SchemaVersion
from consumer.signals.renamed import candidates, renamed, went_back, with_field_above
from consumer.signals.signals import Signal, settle
from consumer.signals.statistics import DAY, Count, Day, Pair, Together
from consumer.signals.store import FieldStatistics, Kept, Look, Signals
from consumer.signals.vanished import HISTORY, last_hours, vanished
from jobs.scheduling.job import JobRun

EVERY = 300.0
# An event is stamped before it is stored: later than this none is missed.
_LATE = timedelta(minutes=5)
# One look reads so much of all subjects together: the newest events, of each as many as it has.
_EVENTS = 20_000
_BYTES = 60_000_000
# Signals of a subject are looked for once in so long, in so many days of all subjects at a time.
_JUDGED_EVERY = timedelta(minutes=55)
_DAYS = 5000
# A batch, after which ingest has four times as long for itself.
_BATCH = 50
_REST = 4.0
# So often a rest looks whether the process stops.
_NAP = 0.5
# Subjects and kinds of signals that have a value among the metrics.
_SUBJECTS = 100


class Heads(Protocol):
    """The registry, as far as it is needed here."""

    def compiled(self, subject: str) -> CompiledSchema: ...

    def refreshed(self, subject: str) -> SchemaVersion | None: ...


@dataclass(slots=True)
class _Counted:
    """A subject in a look: its newest day, if there is one, and what is counted now."""

    last: Kept | None
    head: SchemaVersion
    count: Count
    pairs: list[tuple[Pair, int | None]] = field(default_factory=list)


class CountFields:
    """The job of the one process that holds its lease. `max_bytes`: what all statistics may take;
    0: none are made."""

    def __init__(
        self,
        *,
        events: RecentEvents,
        statistics: FieldStatistics,
        signals: Signals,
        heads: Heads,
        metrics: Metrics,
        max_bytes: int,
        clock: Callable[[], datetime],
        ahead: Callable[[], timedelta] = timedelta,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`ahead`: how far the clock is ahead of MongoDB's."""
        self._events = events
        self._statistics = statistics
        self._signals = signals
        self._heads = heads
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._clock = clock
        self._ahead = ahead
        self._sleep = sleep

    def __call__(self, run: JobRun) -> dict[str, Any]:
        """The result says how many events were counted, how many documents of statistics went
        (`trimmed`), and how many signals are open. Raises StoreUnavailable."""
        if not self._max_bytes:
            return {"events": 0, "trimmed": self._statistics.trim(0, run.stopping)}
        now = self._clock()
        look = self._statistics.begin(now - self._ahead() - _LATE, run.fence)
        events = 0
        if look is not None:
            counted = self._count(run, look)
            if run.stopping():
                return {"stopped": True}
            kept = dict(self._keep(run, counted, look))
            if run.stopping():
                # The look is made again: what is kept of it is not added twice.
                return {"stopped": True}
            self._statistics.finish(look)
            events = sum(d.events for each in counted.values() for d in each.count.days.values())
            self._judge(run, kept, now)
        trimmed = self._statistics.trim(self._max_bytes, run.stopping)
        return {"events": events, "trimmed": trimmed, "signals": self._gauge()}

    def _count(self, run: JobRun, look: Look) -> dict[str, _Counted]:
        """Count the newest events of a look, by subject."""
        subjects: dict[str, _Counted | None] = {}
        asked: set[tuple[str, int]] = set()
        began, number = time.monotonic(), 0
        for document in self._events.newest(look.start, look.end, _EVENTS, _BYTES):
            number += 1
            if number % _BATCH == 0:
                run.progress(read=number)
                self._rest(run, time.monotonic() - began)
                began = time.monotonic()
            if run.stopping():
                break
            subject, version = _of(document)
            if not version:
                continue
            if subject not in subjects:
                subjects[subject] = self._begin(subject)
            counted = subjects[subject]
            if (
                counted is not None
                and counted.head.number < version
                and (subject, version) not in asked
            ):
                # Another process registered it just now, or it was lost.
                asked.add((subject, version))
                self._heads.refreshed(subject)
                days = counted.count.days
                counted = subjects[subject] = self._begin(subject)
                if counted is not None:
                    counted.count.days = days
            if counted is not None and counted.head.number >= version:
                with suppress(*FOREIGN):
                    counted.count.add(document, counted.pairs)
        return {name: each for name, each in subjects.items() if each and each.count.days}

    def _begin(self, subject: str) -> _Counted | None:
        schema = self._heads.compiled(subject)
        if schema.version is None:
            return None
        last = self._statistics.newest(subject)
        number = len(schema.version.fields)
        known = [pair for pair in last.day.pairs if max(pair) < number] if last else []
        pairs = with_field_above(schema.version, known)
        return _Counted(last, schema.version, Count(schema.version, schema.defaults), pairs)

    def _keep(
        self, run: JobRun, subjects: Mapping[str, _Counted], look: Look
    ) -> Iterable[tuple[str, tuple[SchemaVersion, Kept]]]:
        for subject, counted in subjects.items():
            if run.stopping():
                return
            judged_at = counted.last.judged_at if counted.last else EPOCH
            for _, day in sorted(counted.count.days.items()):
                kept = self._statistics.add(subject, day, look, judged_at)
                yield subject, (counted.head, kept)

    def _judge(
        self, run: JobRun, kept: Mapping[str, tuple[SchemaVersion, Kept]], now: datetime
    ) -> None:
        """Look for signals where that was not done for long, the longest first."""
        days = 0
        for subject, (head, last) in sorted(kept.items(), key=lambda each: each[1][1].judged_at):
            if run.stopping() or now - last.judged_at < _JUDGED_EVERY or days > _DAYS:
                return
            began = time.monotonic()
            history = self._statistics.days(subject, last.day.day - HISTORY * DAY)
            days += len(history)
            found = list(self._settled(subject, head, history, now, run.stopping))
            pairs = candidates(head, history, run.stopping)
            if run.stopping():
                # Not all was looked for: the next look does it again.
                return
            self._signals.save(found)
            last.judged_at = now
            last.day.pairs = {pair: last.day.pairs.get(pair, Together()) for pair in pairs}
            self._statistics.judge(subject, last)
            self._rest(run, time.monotonic() - began)

    def _settled(
        self,
        subject: str,
        head: SchemaVersion,
        days: list[Day],
        now: datetime,
        stopping: Callable[[], bool],
    ) -> Iterable[tuple[Signal, bool]]:
        known = self._signals.of(subject, ended=True)
        aliases = {alias.old: alias.new for alias in head.aliases_in_force}
        back = partial(went_back, head, days)
        likely = [
            each for each in renamed(head, days) if each.path not in aliases and not back(each)
        ]
        going_on = {each.path for each in known if each.holds and each.kind == "renamed"}
        passed = {*aliases, *going_on, *(each.path for each in likely)}
        found = [*likely, *vanished(head, days, now, passed, stopping)]
        sent = _last_sent(head, days)
        live = {each.path for each in head.live if each.retired is None}

        def has_ended(signal: Signal) -> bool:
            if signal.path in aliases or signal.path not in live:
                return True
            if signal.kind == "renamed":
                return back(signal) or _come_together(head, days, signal)
            return sent.get(signal.path, EPOCH) >= signal.since

        return settle(subject, found, known, has_ended, now)

    def _gauge(self) -> int:
        """Set the gauge of signals that are open; how many there are."""
        counts = self._signals.count_open()
        busiest = [key for key, _ in counts.most_common(_SUBJECTS)]
        self._metrics.replace(
            names.SIGNALS,
            [({"event_type": name, "kind": kind}, counts[name, kind]) for name, kind in busiest],
        )
        return counts.total()

    def _rest(self, run: JobRun, took: float) -> None:
        left = _REST * took
        while left > 0 and not run.stopping():
            self._sleep(min(left, _NAP))
            left -= _NAP


def _of(document: Mapping[str, Any]) -> tuple[str, int]:
    """Subject and version of a document; version 0 where it is of no schema, or none of ours."""
    meta, version = document.get("_meta"), document.get("schema_version")
    subject = meta.get("subject") if isinstance(meta, Mapping) else None
    is_dated = isinstance(document.get("processed_at"), datetime)
    if isinstance(subject, str) and isinstance(version, int) and is_dated:
        return subject, version
    return "", 0


def _last_sent(head: SchemaVersion, days: Sequence[Day]) -> dict[Path, datetime]:
    """The beginning of the last hour in which each field came."""
    ends = sorted(last_hours(days).items(), key=lambda each: each[1])
    known = len(head.fields)
    return {head.fields[at].path: end - HOUR for at, end in ends if at < known}


def _come_together(head: SchemaVersion, days: Iterable[Day], signal: Signal) -> bool:
    """True for a renaming whose fields come together by now."""
    both = Together()
    for day in days:
        for (old, new), count in day.pairs.items():
            if max(old, new) < len(head.fields) and (
                head.fields[old].path == signal.path and head.fields[new].path == signal.to
            ):
                both += count
    return both.both > max(_BATCH, 0.1 * min(both.old, both.new))
