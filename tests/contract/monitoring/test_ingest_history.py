"""The history of ingest on a real mongod: what several processes counted, read back by time."""

from __future__ import annotations

import math
import random
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pymongo.database import Database

from consumer.core.errors import StoreUnavailable
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import DURATION
from consumer.mongodb.client import INGEST_HISTORY, INGEST_QUARTERS
from consumer.mongodb.indexes import create_indexes
from consumer.monitoring.ingest_history import GRAINS, MINUTE, QUARTER, IngestHistory, pipeline
from consumer.monitoring.outcomes import OutcomeStats, Period, Slot, by_outcome
from jobs.record_history import RecordHistory
from tests.support.service import running_service

Db = Database[dict[str, Any]]

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def history(database: Db) -> IngestHistory:
    create_indexes(database)
    return IngestHistory(database)


def answer(metrics: Metrics, outcome: str, seconds: float, times: int = 1) -> None:
    for _ in range(times):
        metrics.observe(DURATION, seconds, outcome=outcome)


def counts(slots: list[Slot]) -> list[dict[str, int]]:
    return [{each.outcome: each.count for each in slot.outcomes} for slot in slots]


def all_of(slots: list[Slot]) -> list[OutcomeStats]:
    return [each for slot in slots for each in slot.outcomes]


def allow(database: Db, writes: bool) -> None:
    for name in (INGEST_HISTORY, INGEST_QUARTERS):
        database.command("collMod", name, validator={} if writes else {"never": True})


def of(outcome: str, bounds: tuple[float, ...], inside: tuple[int, ...]) -> OutcomeStats:
    total, buckets = 0, []
    for bound, count in zip((*bounds, math.inf), inside, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return OutcomeStats(outcome, total, 0.5 * total, buckets)


def test_what_a_process_answers_stands_in_the_minute_it_was_seen(history: IngestHistory) -> None:
    metrics, clock = Metrics(), Clock()
    record = RecordHistory(metrics, history, "a", clock)
    answer(metrics, "processed", 0.004, 3)
    record()
    answer(metrics, "processed", 0.004, 2)
    clock.now += timedelta(seconds=30)
    record()
    answer(metrics, "rejected", 2.0)
    clock.now += timedelta(seconds=60)
    record()

    slots = history.read(NOON - MINUTE, NOON + 3 * MINUTE, MINUTE)

    assert [slot.at for slot in slots] == [NOON + n * MINUTE for n in (-1, 0, 1, 2)]
    assert counts(slots) == [{}, {"processed": 5}, {"rejected": 1}, {}]
    (processed,), (rejected,) = slots[1].outcomes, slots[2].outcomes
    assert processed.mean == pytest.approx(0.004)
    assert 0.0025 < processed.percentile(0.99) <= 0.005
    assert 1.0 < rejected.percentile(0.5) <= 2.5
    assert slots[1].percentile(0.5) == processed.percentile(0.5)
    assert slots[0].percentile(0.5) is None


@pytest.mark.parametrize(
    ("grain", "window", "expected"),
    [(MINUTE, timedelta(hours=6), 5 * MINUTE), (QUARTER, timedelta(days=7), 8 * QUARTER)],
)
def test_sums_over_processes_periods_and_outcomes_are_exact(
    history: IngestHistory, grain: timedelta, window: timedelta, expected: timedelta
) -> None:
    # Arrange: random periods of three processes, each written twice.
    chance = random.Random(7)
    bounds = (0.001, 0.1, 1.0)
    written: list[tuple[datetime, OutcomeStats]] = []
    for process in ("a", "b", "c"):
        periods = []
        for at in (NOON + n * grain for n in chance.sample(range(window // grain), 200)):
            outcomes = chance.sample(["processed", "held", "refused"], chance.randint(1, 3))
            ended = [
                of(name, bounds, tuple(chance.randint(0, 9) for _ in range(4))) for name in outcomes
            ]
            periods.append(Period(at, tuple(ended)))
            written += [(at, each) for each in ended]
        history.write(process, grain, periods)
        history.write(process, grain, periods)

    # Act
    step, slots = history.last(window, NOON + window)

    # Assert: against adding up one by one.
    assert step == expected
    assert len(slots) == window / step
    for slot in slots:
        for each in slot.outcomes:
            inside = [
                one
                for at, one in written
                if slot.at <= at < slot.at + step and one.outcome == each.outcome
            ]
            assert each.count == sum(one.count for one in inside)
            assert each.seconds == pytest.approx(sum(one.seconds for one in inside))
            assert list(each.buckets) == [
                (bound, sum(dict(one.buckets)[bound] for one in inside))
                for bound in (*bounds, math.inf)
            ]
    assert sum(slot.count for slot in slots) == sum(each.count for _, each in written)


def test_quarters_sum_to_what_the_minutes_do(history: IngestHistory, database: Db) -> None:
    # Arrange: half a day of two processes with looks of all lengths, and an hour without MongoDB.
    chance = random.Random(5)
    answered = 0
    for process in ("a", "b"):
        metrics, clock = Metrics(), Clock()
        record = RecordHistory(metrics, history, process, clock)
        while clock.now < NOON + timedelta(hours=12):
            clock.now += timedelta(seconds=chance.randint(5, 400))
            for outcome in ("processed", "rejected"):
                times = chance.randint(0, 3)
                answered += times
                answer(metrics, outcome, chance.choice([0.0008, 0.004, 0.3]), times)
            away = timedelta(hours=5) < clock.now - NOON < timedelta(hours=6)
            allow(database, not away)
            with pytest.raises(StoreUnavailable) if away else nullcontext():
                record()
        allow(database, True)
        record()

    # Act
    end = clock.now + MINUTE
    by_minute = by_outcome(all_of(history.read(NOON, end, MINUTE)))
    by_quarter = by_outcome(all_of(history.read(NOON, end, QUARTER)))
    _, week = history.last(timedelta(days=7), end)

    # Assert
    assert sum(each.count for each in by_quarter) == answered
    for minutes, quarters, days in zip(
        by_minute, by_quarter, by_outcome(all_of(week)), strict=True
    ):
        assert minutes.outcome == quarters.outcome == days.outcome
        assert minutes.count == quarters.count == days.count
        assert minutes.buckets == quarters.buckets == days.buckets
        assert minutes.seconds == pytest.approx(quarters.seconds) == pytest.approx(days.seconds)


def test_what_was_counted_while_mongodb_refused_is_written_when_it_takes_it_again(
    history: IngestHistory, database: Db
) -> None:
    metrics, clock = Metrics(), Clock()
    record = RecordHistory(metrics, history, "a", clock)
    allow(database, False)
    for _ in range(3):
        answer(metrics, "spooled", 0.3)
        with pytest.raises(StoreUnavailable):
            record()
        clock.now += MINUTE
    allow(database, True)
    answer(metrics, "processed", 0.001)
    record()
    record()

    slots = history.read(NOON, NOON + 4 * MINUTE, MINUTE)

    assert counts(slots) == [{"spooled": 1}] * 3 + [{"processed": 1}]


def test_what_waits_for_mongodb_is_bounded_by_a_day(history: IngestHistory, database: Db) -> None:
    metrics, clock = Metrics(), Clock()
    record = RecordHistory(metrics, history, "a", clock)
    allow(database, False)
    for _ in range(3):
        answer(metrics, "spooled", 0.3)
        with pytest.raises(StoreUnavailable):
            record()
        clock.now += timedelta(hours=13)
    allow(database, True)

    record()

    for name in (INGEST_HISTORY, INGEST_QUARTERS):
        assert database[name].distinct("at") == [NOON + timedelta(hours=n) for n in (13, 26)]


def test_clock_set_back_replaces_no_minute_that_was_written(history: IngestHistory) -> None:
    metrics, clock = Metrics(), Clock()
    record = RecordHistory(metrics, history, "a", clock)
    for minutes in (0, 1, -1):
        answer(metrics, "processed", 0.001)
        clock.now += minutes * MINUTE
        record()

    assert counts(history.read(NOON, NOON + 2 * MINUTE, MINUTE)) == [
        {"processed": 1},
        {"processed": 2},
    ]


def test_a_process_that_answered_nothing_writes_nothing(
    history: IngestHistory, database: Db
) -> None:
    record = RecordHistory(Metrics(), history, "a", Clock())
    record()
    record()

    for name in (INGEST_HISTORY, INGEST_QUARTERS):
        assert database[name].count_documents({}) == 0


def test_too_many_slots_are_refused(history: IngestHistory) -> None:
    with pytest.raises(ValueError, match="at most 1000"):
        history.read(NOON - timedelta(days=1), NOON, MINUTE)
    with pytest.raises(ValueError, match="whole minutes"):
        history.read(NOON - MINUTE, NOON, timedelta(seconds=30))


@pytest.mark.parametrize("grain", GRAINS)
def test_reading_a_window_reads_only_its_periods(
    history: IngestHistory, database: Db, grain: timedelta
) -> None:
    name = INGEST_HISTORY if grain == MINUTE else INGEST_QUARTERS
    few = (of("processed", (1.0,), (1, 0)),)
    history.write("a", grain, (Period(NOON + n * grain, few) for n in range(50)))

    explained = database.command(
        "explain",
        {"aggregate": name, "pipeline": pipeline(NOON, NOON + 5 * grain, grain), "cursor": {}},
        verbosity="executionStats",
    )

    stats = explained.get("executionStats") or explained["stages"][0]["$cursor"]["executionStats"]
    assert stats["totalDocsExamined"] == 5


def test_a_week_is_read_from_its_quarters(history: IngestHistory, database: Db) -> None:
    few = (of("processed", (1.0,), (1, 0)),)
    history.write("a", MINUTE, (Period(NOON + n * MINUTE, few) for n in range(60)))
    history.write("a", QUARTER, [Period(NOON, (of("processed", (1.0,), (7, 0)),))])

    _, slots = history.last(timedelta(days=7), NOON + timedelta(hours=1))

    assert counts(slots)[-1] == {"processed": 7}


def test_running_services_leave_their_history_behind(mongod_uri: str, database: Db) -> None:
    for n in range(2):
        with running_service(mongod_uri, database.name) as client:
            assert client.post({"id": str(n), "type": "t"}).status == 200
            assert client.post(b"{").status == 400

    now = datetime.now(timezone.utc)
    for span in (timedelta(hours=1), timedelta(days=7)):
        _, slots = IngestHistory(database).last(span, now)

        ended = by_outcome(all_of(slots))
        assert {each.outcome: each.count for each in ended} == {"processed": 2, "rejected": 2}
        assert all(0 < each.percentile(0.5) < 10 for each in ended)
    assert "failed" not in database["job_runs"].distinct("outcome", {"job": "record_history"})
