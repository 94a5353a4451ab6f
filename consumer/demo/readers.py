"""Tell the story of a program downstream: a field that it reads is renamed half-way, an alias fills
it, and a type conflict breaks the program. Four weeks go by in seconds, on a clock of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from config.loading import Settings
from consumer.core.clock import HOUR, floor, utc_now
from consumer.core.errors import SetupError
from consumer.core.paths import to_segment
from consumer.demo.play import Answered, await_stored, play
from consumer.demo.samples.mishaps import Sample, encode
from consumer.demo.samples.payloads import Payload, build, moment
from consumer.mongodb import stored_format
from consumer.mongodb.client import AUDIT, LEASES
from consumer.mongodb.leases import Lease, Leases
from consumer.monitoring.audit import Audit
from consumer.monitoring.datadog.version_events import VersionEvent, version_event
from consumer.readers.pins import Pin
from consumer.readers.verdicts import Breach
from consumer.runtime.jobs import COUNT_FIELDS, count_fields
from consumer.runtime.service import Service
from consumer.runtime.service_options import report_common
from consumer.runtime.settings_map import redaction, schema_policy, shared_secrets, signature_scheme
from consumer.runtime.shared import build_views
from consumer.schemas import manual_changes
from consumer.schemas.model import SchemaVersion
from consumer.signals import signals
from consumer.signals.statistics import DAY
from consumer.signals.store import FieldStatistics, Signals

READER, SUBJECT = "billing", "disposition.saved"
OLD, NEW, RETYPED = "wrapUpSeconds", "acwSeconds", "agentId"

# The share of events that send the new name, week by week: some senders go on for a while.
_WEEKS = (0.0, 0.0, 0.5, 1.0)
_A_DAY = 15
_FIRST, _APART = 8 * HOUR, HOUR / 2
# Events are counted once they are five minutes old.
_CLOSED = timedelta(minutes=6)
# Longer than any story: nobody renews it.
_LEASE = 3600.0
_WHO = "demo"


class HastenedClock:
    """The time that the service goes by: `at`, which the story moves on; None: the real time."""

    def __init__(self) -> None:
        self.began = floor(utc_now() - _CLOSED, DAY) - 7 * len(_WEEKS) * DAY
        self.at: datetime | None = self.began

    def __call__(self) -> datetime:
        return self.at or utc_now()


@dataclass(frozen=True, slots=True)
class Week:
    """Events of a week by the field statistics, and those that sent the old and the new name."""

    start: datetime
    events: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Row:
    """A field in the view of the reader: in the first event of all, and in the last of the four
    weeks before and after the alias was set."""

    field: str
    first: Any
    before: Any
    last: Any


@dataclass(frozen=True, slots=True)
class Played:
    """All that came to pass, in this order; `appeared`: the day on which the signal was there."""

    answered: list[Answered]
    pin: Pin
    weeks: list[Week]
    appeared: datetime
    signal: signals.Signal
    words: signals.Told
    broken_by_signal: list[Breach]
    alias: SchemaVersion
    broken_after_alias: list[Breach]
    ends: tuple[datetime, datetime]
    rows: list[Row]
    conflict: SchemaVersion
    broken_by_conflict: list[Breach]
    conflicting: Mapping[str, Any]
    announcement: VersionEvent


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of a job, as the job sees it."""

    fence: int

    def stopping(self) -> bool:
        return False

    def progress(self, **facts: object) -> None:
        """Tell nobody: it takes no time."""


class Story:
    """Tells it once, to a service that has not begun to run: the job that makes field statistics is
    run here alone, by the clock of the story."""

    def __init__(
        self, service: Service, settings: Settings, clock: HastenedClock, seed: int
    ) -> None:
        self._service = service
        self._settings = settings
        self._clock = clock
        self._shared = service.shared
        self._rng = Random(seed)  # noqa: S311 - nothing here is secret
        self._masks = redaction(settings, service.shared.registry.aliased)
        self._judge = self._shared.judge(self._masks)
        self._views = build_views(settings, self._shared, lambda: self._masks)
        self._signals = Signals(self._shared.database)
        self._leases = Leases(self._shared.database[LEASES], _WHO, _LEASE)
        lease = self._leases.acquire(COUNT_FIELDS).grant
        if not isinstance(lease, Lease):
            raise SetupError(f"another process runs {COUNT_FIELDS}")
        self._lease = lease
        # Nobody else is served, so that it need not rest.
        self._look = count_fields(settings, self._shared, clock, sleep=lambda _: None)
        self._pin: Pin | None = None
        self._appeared: datetime | None = None

    def tell(self) -> Played:
        """Play it; raises SetupError where MongoDB does not take the deliveries."""
        answered = self._play(self._four_weeks())
        if self._pin is None or self._appeared is None:
            raise SetupError("the events of four weeks were not stored: run the demo again")
        pin, weeks = self._pin, list(self._weeks())
        signal = next(
            each for each in self._signals.of(SUBJECT, ended=True) if each.kind == "renamed"
        )
        first, before = self._seen(pin, 1), self._seen(pin, -1)
        broken_by_signal = self._standing(pin)
        alias = self._set_alias()
        broken_after_alias = self._standing(pin)
        last = self._seen(pin, -1)
        # From here on it is now, and the service counts by itself.
        self._clock.at = None
        self._leases.release(self._lease, due_after=0, succeeded=True)
        answered += self._play([self._sample(utc_now(), len(answered), conflict=True)])
        conflict = self._head()
        broken = self._judge.breaches(SUBJECT, conflict.number, conflict.number - 1)
        return Played(
            answered=answered,
            pin=pin,
            weeks=weeks,
            appeared=self._appeared,
            signal=signal,
            words=signals.told(signal, self._masks),
            broken_by_signal=broken_by_signal,
            alias=alias,
            broken_after_alias=broken_after_alias,
            ends=(first["processed_at"], last["processed_at"]),
            rows=[Row(name, first[name], before[name], last[name]) for name in last],
            conflict=conflict,
            broken_by_conflict=broken,
            conflicting=self._seen(pin, -1),
            announcement=version_event(
                [conflict], report_common(self._settings, fleet=True), broken
            ),
        )

    def _play(self, samples: Iterator[Sample] | list[Sample]) -> list[Answered]:
        main = self._settings.main
        key = shared_secrets(main)[0].key
        answered = play(samples, self._service.url, signature_scheme(main), key)
        self._settle()
        return answered

    def _four_weeks(self) -> Iterator[Sample]:
        """The deliveries, each asked for when the one before is answered: in between the clock is
        moved on, and the field statistics are made every night."""
        number = 0
        for day in range(7 * len(_WEEKS)):
            begun = self._clock.began + day * DAY
            for nth in range(_A_DAY):
                at = self._clock.at = begun + _FIRST + nth * _APART
                renamed = self._rng.random() < _WEEKS[day // 7]
                yield self._sample(at, number, renamed=renamed)
                number += 1
                if self._pin is None:
                    self._settle()
                    self._pin = self._pinned()
            self._settle()
            self._clock.at = begun + DAY + _CLOSED
            self._look(_Run(self._lease.fence))
            if self._appeared is None and self._signals.of(SUBJECT):
                self._appeared = self._clock.at

    def _sample(
        self, at: datetime, number: int, *, renamed: bool = False, conflict: bool = False
    ) -> Sample:
        now = moment(self._rng, at, number)
        payload: Payload = build(SUBJECT, now)
        if renamed or conflict:
            payload[NEW] = payload.pop(OLD)
        if conflict:
            payload[RETYPED] = now.agent.user_id
        return Sample(encode(payload), SUBJECT, "good", "processed")

    def _settle(self) -> None:
        """Wait until MongoDB has everything: what went through the spool too."""
        if await_stored(self._service, lambda _: None):
            raise SetupError("MongoDB did not take the deliveries from the spool within a minute")

    def _pinned(self) -> Pin:
        """Pin the reader to the first version, as `schema pin` does."""
        defaults = schema_policy(self._settings).of(SUBJECT).defaults
        pin = self._views.pins.made(READER, self._head(), defaults, at=self._clock(), by=_WHO)
        self._record("schema pin", reader=READER, version=pin.version)
        self._views.pin(pin)
        return pin

    def _set_alias(self) -> SchemaVersion:
        """Set the alias that the signal proposes, as `schema alias` does, and have the view follow,
        as a job does within a minute."""
        old, new = (to_segment(OLD),), (to_segment(NEW),)
        stored_format.require(self._shared.database, stored_format.ALIASES)
        self._record("schema alias", path=OLD, new=NEW)
        version, _ = self._shared.registry.change(
            SUBJECT, lambda head, now: manual_changes.alias(head, old, new, now)
        )
        self._views.keep(lambda: False)
        return version

    def _record(self, what: str, **details: object) -> None:
        audit = Audit(self._shared.database[AUDIT])
        audit.record(_WHO, what, self._clock(), {"subject": SUBJECT, **details})

    def _weeks(self) -> Iterator[Week]:
        began = self._clock.began
        at = {each.path[-1]: position for position, each in enumerate(self._head().fields)}
        days = FieldStatistics(self._shared.database).days(SUBJECT, began)
        for number in range(len(_WEEKS)):
            start = began + 7 * number * DAY
            of = [day for day in days if start <= day.day < start + 7 * DAY]
            sums = (sum(day.of(key) for day in of) for key in (None, at[OLD], at[NEW]))
            yield Week(start, *sums)

    def _seen(self, pin: Pin, order: int) -> Mapping[str, Any]:
        """The first or the last event as the reader finds it in the view."""
        found = self._shared.database[pin.view].find_one({}, sort=[("processed_at", order)])
        if found is None:
            raise SetupError(f"the view {pin.view} shows nothing")
        return found

    def _standing(self, pin: Pin) -> list[Breach]:
        return self._judge.standing(SUBJECT, self._head().number, [pin])

    def _head(self) -> SchemaVersion:
        head = self._shared.registry.refreshed(SUBJECT)
        if head is None:
            raise SetupError(f"nothing was stored of {SUBJECT}")
        return head
