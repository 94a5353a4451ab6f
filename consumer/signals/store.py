"""Keep field statistics, one document a subject and day, and signals, one document each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from bson import Binary, CodecOptions
from bson.codec_options import DatetimeConversion
from pymongo import ASCENDING, DESCENDING, UpdateOne
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from consumer.core.clock import EPOCH
from consumer.core.errors import StoreUnavailable
from consumer.core.paths import Path
from consumer.mongodb.client import FIELD_STATISTICS, SIGNALS, Document
from consumer.mongodb.errors import readable, translated
from consumer.signals.signals import FIGURES, Signal, State
from consumer.signals.statistics import (
    DAY,
    HOURS,
    Day,
    Figures,
    Together,
    day_of,
    figures,
    pack,
    unpack,
)

_LOOKS = "looks"
# A first look goes back so far.
_FIRST = DAY
_LAST_DAY = datetime.max.replace(tzinfo=EPOCH.tzinfo, microsecond=0)
# A date that Python has none for stops nothing.
_DATES: CodecOptions[Document] = CodecOptions(
    tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
# Above any figure, and small enough for a span of hours.
_MOST = 10**10


@dataclass(frozen=True, slots=True)
class Look:
    """A span of time whose events are looked at once: `start` <= processed_at < `end`."""

    number: int
    start: datetime
    end: datetime


@dataclass(slots=True)
class Kept:
    """The document of a day, as of a look; `judged_at`: when signals were last looked for."""

    day: Day
    look: int
    judged_at: datetime


class FieldStatistics:
    """The collection `field_statistics`; every method raises StoreUnavailable."""

    def __init__(self, db: Database[Document]) -> None:
        self._db = db
        self._days = db[FIELD_STATISTICS].with_options(codec_options=_DATES)

    def begin(self, closed: datetime, fence: int) -> Look | None:
        """The look to make now: the last one, where it was cut off, else one at what came since;
        None where nothing is closed since. Raises StoreUnavailable too where a newer fence was
        here."""
        with translated(FIELD_STATISTICS):
            try:
                self._days.update_one(
                    {"_id": _LOOKS, "fence": {"$lte": fence}},
                    {"$set": {"fence": fence}},
                    upsert=True,
                )
            except DuplicateKeyError:
                raise StoreUnavailable(
                    "another process counts fields now: this one leaves it to that one"
                ) from None
            last = self._days.find_one({"_id": _LOOKS}) or {}
            if last.get("under_way"):
                return Look(last["number"], last["start"], last["end"])
            look = Look(last.get("number", 0) + 1, last.get("end", closed - _FIRST), closed)
            if look.start >= look.end:
                return None
            fields = {"number": look.number, "start": look.start, "end": look.end}
            self._days.update_one(
                {"_id": _LOOKS, "fence": fence}, {"$set": {**fields, "under_way": True}}
            )
        return look

    def finish(self, look: Look) -> None:
        """Note that all of a look is kept."""
        with translated(FIELD_STATISTICS):
            done = {"$set": {"under_way": False}}
            self._days.update_one({"_id": _LOOKS, "number": look.number}, done)

    def newest(self, subject: str) -> Kept | None:
        """The newest day of a subject."""
        with translated(FIELD_STATISTICS):
            # Few at a time: a day is large, and the first is one of ours nearly always.
            found = self._days.find(_between(subject), batch_size=2).sort("_id", DESCENDING)
            return next(readable(found, _kept), None)

    def add(self, subject: str, day: Day, look: Look, judged_at: datetime) -> Kept:
        """Add what a look counted of a day; it is added once, however often a look is made. It
        takes the place of what is none of ours."""
        key = {"subject": subject, "day": day.day}
        with translated(FIELD_STATISTICS):
            while True:
                found = self._days.find_one({"_id": key})
                if found is None:
                    kept = Kept(day, look.number, judged_at)
                    try:
                        self._days.insert_one({"_id": key, **_fields(kept)})
                    except DuplicateKeyError:
                        continue
                    return kept
                none_yet = Kept(Day(day.day, day.version), 0, judged_at)
                kept = next(readable([found], _kept), none_yet)
                if kept.look >= look.number:
                    return kept
                kept.look = look.number
                kept.day.add(day)
                as_of = {"_id": key, "look": {"$eq": found.get("look")}}
                done = self._days.update_one(as_of, {"$set": _fields(kept)})
                if done.matched_count:
                    return kept

    def judge(self, subject: str, kept: Kept) -> None:
        """Note when signals were looked for, and the pairs that are counted from now on."""
        key = {"subject": subject, "day": kept.day.day}
        fields = _fields(kept)
        changed = {name: fields[name] for name in ("judged_at", "pairs")}
        with translated(FIELD_STATISTICS):
            self._days.update_one({"_id": key, "look": kept.look}, {"$set": changed})

    def days(self, subject: str, start: datetime) -> list[Day]:
        """The days of a subject from `start` on, ascending."""
        with translated(FIELD_STATISTICS):
            found = self._days.find(_between(subject, start)).sort("_id")
            return [each.day for each in readable(found, _kept)]

    def figures(self, subject: str, days: int, now: datetime) -> Figures:
        """The figures of the last days, today with them."""
        return figures(self.days(subject, day_of(now) - (days - 1) * DAY), days)

    def trim(self, most: int, stopping: Callable[[], bool] = lambda: False) -> int:
        """Delete whole days, the oldest first, until all take so many bytes at most, or it is
        `stopping`; how many documents went."""
        gone = 0
        with translated(FIELD_STATISTICS):
            size = int(self._db.command("collStats", FIELD_STATISTICS)["size"])
            while size > most and not stopping():
                # In the order of the index on days.
                dated = {"_id.day": {"$type": "date"}}
                oldest = self._days.find_one(dated, {"_id": 1}, sort=[("_id.day", ASCENDING)])
                if oldest is None:
                    return gone
                of_day = {"_id.day": oldest["_id"]["day"]}
                summed: list[Document] = [
                    {"$match": of_day},
                    {"$group": {"_id": None, "size": {"$sum": {"$bsonSize": "$$ROOT"}}}},
                ]
                size -= sum(each["size"] for each in self._days.aggregate(summed))
                gone += self._days.delete_many(of_day).deleted_count
        return gone


def _between(subject: str, start: datetime = EPOCH) -> Document:
    first, last = ({"subject": subject, "day": day} for day in (start, _LAST_DAY))
    return {"_id": {"$gte": first, "$lte": last}}


def _fields(kept: Kept) -> Document:
    day = kept.day
    return {
        "look": kept.look,
        "version": day.version,
        "looked_at": day.looked_at,
        "fields": Binary(pack(day.fields)),
        "pairs": [[*pair, *both] for pair, both in day.pairs.items()],
        "judged_at": kept.judged_at,
    }


def _kept(found: Document) -> Kept:
    """Raises one of FOREIGN for a document that is none of ours."""
    pairs = ([int(number) for number in pair] for pair in found["pairs"])
    day = Day(
        day_of(found["_id"]["day"]),
        int(found["version"]),
        [int(number) for number in found["looked_at"]],
        unpack(found["fields"]),
        {(old, new): Together(*counts) for old, new, *counts in pairs},
    )
    judged_at = found["judged_at"]
    if len(day.looked_at) != HOURS or not isinstance(judged_at, datetime):
        raise ValueError
    return Kept(day, int(found["look"]), judged_at)


class Signals:
    """The collection `signals`; every method raises StoreUnavailable."""

    def __init__(self, db: Database[Document]) -> None:
        self._signals = db[SIGNALS].with_options(codec_options=_DATES)

    def of(self, subject: str | None = None, *, ended: bool = False) -> list[Signal]:
        """The signals of a subject, or of all, that hold; `ended`: the others too."""
        wanted: Document = {} if subject is None else _of(subject)
        if not ended:
            wanted["ended_at"] = None
        with translated(SIGNALS):
            return list(readable(self._signals.find(wanted).sort("_id"), _signal))

    def count_open(self) -> Counter[tuple[str, str]]:
        """Count the open ones by subject and kind, 0 where none is any more: a monitor shall see
        that they ended."""
        is_open = {"$and": [{"$eq": ["$state", "open"]}, {"$not": ["$ended_at"]}]}
        ours = {"_id.subject": {"$type": "string"}, "_id.kind": {"$in": [*FIGURES]}}
        summed: list[Document] = [
            {"$match": {"since": {"$type": "date"}, **ours}},
            {
                "$group": {
                    "_id": {"subject": "$_id.subject", "kind": "$_id.kind"},
                    "open": {"$sum": {"$cond": [is_open, 1, 0]}},
                }
            },
        ]
        with translated(SIGNALS):
            found = self._signals.aggregate(summed)
            return Counter({tuple(each["_id"].values()): each["open"] for each in found})

    def save(self, signals: Iterable[tuple[Signal, bool]]) -> None:
        """Keep signals, each with whether it is new; what people said of the others stays."""
        updates = [_update(each, is_new) for each, is_new in signals]
        if updates:
            with translated(SIGNALS):
                self._signals.bulk_write(updates, ordered=False)

    def decide(self, signals: Iterable[Signal], state: State) -> int:
        """Acknowledge or mute signals, or open them again; how many there were. An open one was
        told before."""
        keys = [each.key for each in signals]
        with translated(SIGNALS):
            done = self._signals.update_many(
                {"_id": {"$in": keys}}, {"$set": {"state": state, "is_told": True}}
            )
        return done.matched_count

    def untold(self, limit: int) -> list[Signal]:
        """Open signals that nobody was told of."""
        with translated(SIGNALS):
            return list(readable(self._signals.find(UNTOLD).sort("_id").limit(limit), _signal))

    def tell(self, signal: Signal, *, told: bool) -> bool:
        """Mark that a signal is told, before it is; or that it was not after all. False where
        another process was faster."""
        with translated(SIGNALS):
            changed = {"$set": {"is_told": told}}
            done = self._signals.update_one({"_id": signal.key, "is_told": not told}, changed)
        return done.matched_count == 1

    def forget(self, subject: str, has_name: Callable[[Path], bool]) -> int:
        """Delete the signals of paths that hold a name which is to go."""

        def named(found: Document) -> Document | None:
            key: Document = found["_id"]
            paths = (tuple(key["path"]), tuple(key.get("to", ())))
            return key if any(map(has_name, paths)) else None

        with translated(SIGNALS):
            # By what they are of alone: one that nobody can read otherwise goes too.
            found = readable(self._signals.find(_of(subject), {"_id": 1}), named)
            keys = [key for key in found if key]
            return self._signals.delete_many({"_id": {"$in": keys}}).deleted_count


# The documents of the index on this: a test explains it.
UNTOLD: Document = {"is_told": False}


def _of(subject: str) -> Document:
    return {"_id": {"$gte": {"subject": subject}, "$lt": {"subject": subject, "kind": "~"}}}


def _update(signal: Signal, is_new: bool) -> UpdateOne:
    fields: Document = {
        "last_seen": signal.last_seen,
        "score": signal.score,
        "figures": dict(signal.figures),
    }
    if is_new:
        fields |= {"since": signal.since, "state": signal.state, "is_told": signal.is_told}
    change = {"$set": fields, "$unset": {"ended_at": ""}}
    if signal.ended_at is not None:
        change = {"$set": {**fields, "ended_at": signal.ended_at}}
    return UpdateOne({"_id": signal.key}, change, upsert=is_new)


def _signal(found: Document) -> Signal:
    """Raises one of FOREIGN for a document that is none of ours."""
    key: dict[str, Any] = found["_id"]
    signal = Signal(
        key["kind"],
        tuple(key["path"]),
        tuple(key["to"]) if "to" in key else None,
        found["since"],
        found["score"],
        found["figures"],
        subject=key["subject"],
        last_seen=found["last_seen"],
        state=found["state"],
        ended_at=found.get("ended_at"),
        is_told=found["is_told"],
    )
    numbers = [signal.score, *(signal.figures[name] for name in FIGURES[signal.kind])]
    texts = (signal.subject, *signal.path, *(signal.to or ()))
    ours = (
        all(0 <= number < _MOST for number in numbers)
        and all(isinstance(text, str) for text in texts)
        and isinstance(signal.since, datetime)
        and signal.state in get_args(State)
        and (signal.kind == "renamed") == (signal.to is not None)
    )
    if not ours:
        raise ValueError
    return signal
