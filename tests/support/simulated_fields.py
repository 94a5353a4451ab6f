"""Simulate the statistics of a subject over months: fields of many habits, and planted renames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from random import Random

from consumer.schemas.model import Field, SchemaVersion
from consumer.signals.renamed import candidates, renamed
from consumer.signals.signals import Finding
from consumer.signals.statistics import Day, Pair, Seen, Together
from consumer.signals.vanished import vanished

START = datetime(2026, 1, 5, tzinfo=timezone.utc)
DAY = timedelta(days=1)
_HOURS = range(24)
# Business hours of a contact centre, with some at night.
_BUSY = [1, 1, 1, 1, 1, 2, 4, 8, 12, 14, 14, 13, 12, 13, 14, 13, 11, 8, 6, 4, 3, 2, 2, 1]


@dataclass(slots=True)
class Habit:
    """The way in which a field comes: the share of events in an hour of a day that send it."""

    kind: str
    share: float
    # Days of the week, or of the month, or hours; nothing: all.
    weekdays: frozenset[int] = frozenset()
    monthdays: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    # Days from one batch to the next on average, where it comes in batches at any time.
    every: float = 0.0
    regular: bool = False
    due: float = 0.0
    # It comes from this day on, and no more from that one.
    born: int = 0
    gone: int = 10**9

    def draw(self, random: Random, number: int, events: list[int]) -> Seen | None:
        """The field in the events of a day, by hour; None where none sends it."""
        day = START + number * DAY
        if not self.born <= number < self.gone:
            return None
        if self.weekdays and day.weekday() not in self.weekdays:
            return None
        if self.monthdays and day.day not in self.monthdays:
            return None
        if self.every:
            return self._batch(random, number, events)
        sent = hours = 0
        for hour in self.hours or _HOURS:
            if found := binomial(random, events[hour], self.share):
                sent += found
                hours |= 1 << hour
        return Seen(sent, 0, 8, hours) if sent else None

    def _batch(self, random: Random, number: int, events: list[int]) -> Seen | None:
        sent = hours = 0
        while self.due < number + 1:
            hour = int(max(0.0, self.due - number) * 24)
            if events[hour]:
                sent += max(1, binomial(random, events[hour], self.share))
                hours |= 1 << hour
            jitter = random.uniform(0.9, 1.1) if self.regular else random.expovariate(1)
            self.due += max(1 / 24, self.every * jitter)
        return Seen(sent, 0, 8, hours) if sent else None


def binomial(random: Random, count: int, share: float) -> int:
    """A number of `count` events that send what a share of them does."""
    if share >= 1 or not count:
        return count if share >= 1 else 0
    mean = count * share
    if mean > 20 and mean < count - 20:
        return min(count, max(0, round(random.gauss(mean, math.sqrt(mean * (1 - share))))))
    if share > 0.5:
        return count - binomial(random, count, 1 - share)
    # From one that sends it to the next.
    found, at, rest = 0, -1, math.log1p(-share) if share else -1e-12
    while True:
        at += 1 + int(math.log(1 - random.random()) / rest)
        if at >= count:
            return found
        found += 1


def habits(random: Random, number: int) -> list[Habit]:
    """As many fields of all habits."""
    found = []
    for _ in range(number):
        kind = random.choice(
            ("always", "optional", "optional", "rare", "rare", "seasonal", "weekday", "batchy")
        )
        habit = Habit(kind, 1.0)
        if kind == "optional":
            habit.share = random.uniform(0.05, 0.98)
        elif kind == "rare":
            habit.share = 10 ** random.uniform(-4, -2)
        elif kind == "seasonal":
            habit.share = random.uniform(0.05, 1)
            first = random.randrange(1, 25)
            habit.monthdays = frozenset(range(first, first + random.randrange(2, 9)))
        elif kind == "weekday":
            habit.share = random.uniform(0.05, 1)
            habit.weekdays = frozenset(random.sample(range(7), random.randrange(1, 6)))
            if random.random() < 0.5:
                first = random.randrange(6, 20)
                habit.hours = frozenset(range(first, first + random.randrange(1, 4)))
        elif kind == "batchy":
            habit.share = random.uniform(0.05, 1)
            habit.every = 10 ** random.uniform(-1, 1.2)
            habit.regular = random.random() < 0.5
            habit.due = random.uniform(0, habit.every)
        found.append(habit)
    return found


@dataclass(frozen=True, slots=True)
class Rename:
    """A renaming from a day on, `gradual` over so many days; of its events `left` go on as they
    were."""

    old: int
    new: int
    day: int
    gradual: int
    left: float

    def moved(self, number: int) -> float:
        """The share of events that send the new name on a day."""
        part = (number - self.day + 1) / self.gradual if self.gradual else 1.0
        return (1 - self.left) * min(1.0, max(0.0, part)) if number >= self.day else 0.0


@dataclass(slots=True)
class Simulation:
    """One subject: what its statistics show day by day."""

    random: Random
    habits: list[Habit]
    rename: Rename | None = None
    version: SchemaVersion = field(default_factory=lambda: SchemaVersion("t", 1, (), (), START))
    field_days: int = 0

    def run(self, days: int) -> Iterator[tuple[int, list[Finding]]]:
        """For each day what is found at its end."""
        history: list[Day] = []
        busy = self.random.uniform(40, 400)
        weekend = self.random.uniform(0.2, 1)
        watched: list[Pair] = []
        for number in range(days):
            day = self._day(number, busy, weekend, watched)
            history.append(day)
            self.field_days += len(self.habits)
            found = vanished(self.version, history, START + (number + 1) * DAY)
            found += renamed(self.version, history)
            watched = candidates(self.version, history)
            yield number, found

    def _day(self, number: int, busy: float, weekend: float, watched: list[Pair]) -> Day:
        at = START + number * DAY
        factor = busy / 8 * (weekend if at.weekday() > 4 else 1) * self.random.uniform(0.8, 1.2)
        events = [self._poisson(weight * factor) for weight in _BUSY]
        day = Day(at, 1, events)
        rename = self.rename
        for position, habit in enumerate(self.habits):
            if rename and position == rename.new:
                continue
            seen = habit.draw(self.random, number, events)
            if seen and rename and position == rename.old and rename.moved(number):
                new = binomial(self.random, seen.sent, rename.moved(number))
                if new:
                    day.fields[rename.new] = seen._replace(sent=new)
                seen = seen._replace(sent=seen.sent - new) if seen.sent > new else None
            if seen:
                day.fields[position] = seen
        self._register(day)
        total = day.events
        for pair in watched if total else ():
            old, new = map(day.of, pair)
            planted = rename and pair == (rename.old, rename.new)
            both = 0 if planted else binomial(self.random, old, new / total)
            day.pairs[pair] = Together(total, old, new, both)
        return day

    def _register(self, day: Day) -> None:
        """Make what comes for the first time part of the schema, as events do."""
        fields = self.version.fields or tuple(
            Field((f"f{at}",), 10**9, {}) for at in range(len(self.habits))
        )
        new = [at for at in day.fields if fields[at].since == 10**9]
        number = self.version.number
        if new and self.version.fields:
            number += 1
        fields = tuple(
            replace(each, since=number, types={"string": number}) if at in new else each
            for at, each in enumerate(fields)
        )
        self.version = replace(self.version, number=number, fields=fields)
        day.version = number

    def _poisson(self, mean: float) -> int:
        return max(0, round(self.random.gauss(mean, math.sqrt(mean))))


def false_signals(seed: int, subjects: int, days: int) -> tuple[list[str], int]:
    """Signals though nothing vanished or was renamed, and how many field-days that took."""
    found: list[str] = []
    field_days = 0
    for subject in range(subjects):
        random = Random(seed * 1000 + subject)
        simulation = Simulation(random, habits(random, 50))
        # Some come later, and have nothing to do with others.
        for habit in random.sample(simulation.habits, 3):
            habit.born = random.randrange(40, days)
        seen = {(each.kind, each.path): each for _, all_ in simulation.run(days) for each in all_}
        found += [f"{seed}.{subject}: {each}" for each in seen.values()]
        field_days += simulation.field_days
    return found, field_days


def found_rename(seed: int) -> tuple[int | None, list[str]]:
    """Days after which a planted renaming is found (None: never), and what else was: of a share of
    0.6 or more, at once or over a week, while none or some senders go on."""
    random = Random(seed)
    fields = habits(random, 20)
    old = random.randrange(20)
    fields[old] = Habit("optional", random.uniform(0.6, 1))
    if random.random() < 0.3:
        fields[old] = Habit("weekday", random.uniform(0.85, 1), weekdays=frozenset(range(5)))
    fields.append(Habit("new", 1.0))
    day, gradual = random.randrange(30, 60), random.choice((0, 0, 7))
    rename = Rename(old, 20, day, gradual, random.choice((0, 0, 0.3, 0.6, 0.9)))
    after, others = None, []
    for number, found in Simulation(random, fields, rename).run(90):
        for each in found:
            is_it = each.path == (f"f{old}",) and each.to in (None, ("f20",))
            if is_it and each.kind == "renamed" and after is None:
                after = number - day
            elif not is_it:
                others.append(f"{seed}: {each}")
    return after, others
