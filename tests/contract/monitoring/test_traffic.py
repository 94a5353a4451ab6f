"""The picture of the last hours, from what the processes recorded."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from consumer.console.traffic import SPANS, TrafficBoard, traffic
from consumer.core.clock import floor
from consumer.mongodb.client import INGEST_QUARTERS
from consumer.mongodb.indexes import create_indexes
from consumer.monitoring.ingest_history import GRAINS, MINUTE, IngestHistory
from consumer.monitoring.outcomes import OutcomeStats, Period
from tests.support.adoption import NOW

Db = Database[dict[str, Any]]
BEFORE = (NOW - timedelta(minutes=10)).replace(second=0, microsecond=0)


def ended(outcome: str, count: int) -> OutcomeStats:
    return OutcomeStats(
        outcome, count, count * 0.004, ((0.005, float(count)), (math.inf, float(count)))
    )


def write(history: IngestHistory, process: str, at: datetime, *all_: OutcomeStats) -> None:
    for grain in GRAINS:
        history.write(process, grain, [Period(floor(at, grain), all_)])


@pytest.fixture
def history(database: Db) -> IngestHistory:
    found = IngestHistory(database)
    write(found, "one", BEFORE, ended("processed", 30), ended("held", 2))
    write(found, "two", BEFORE, ended("processed", 10))
    return found


def test_all_processes_together_by_outcome(history: IngestHistory) -> None:
    found = traffic(history, "1h", NOW)

    assert found.deliveries == 42
    assert 42 / 61 < found.rate <= 42 / 60
    assert found.p99 == pytest.approx(0.005, abs=0.0001)
    assert found.ingest is not None
    assert found.ingest.legend == (("processed", "c1", "40"), ("held", "c4", "2"))
    assert found.ingest.rows == ((f"{BEFORE:%H:%M}", "40", "2"),)


@pytest.mark.parametrize("span", SPANS)
def test_each_span_shows_all_that_came_in_it(history: IngestHistory, span: str) -> None:
    first = floor(NOW - SPANS[span], MINUTE) + MINUTE
    write(history, "three", first, ended("processed", 100))

    found = traffic(history, span, NOW)

    assert found.deliveries == 142
    assert found.ingest is not None
    assert found.ingest.legend[0] == ("processed", "c1", "140")
    assert len(found.ingest.rows) == 2


@pytest.mark.parametrize("span", SPANS)
def test_first_and_last_moment_of_a_span_are_written_differently(
    history: IngestHistory, span: str
) -> None:
    for at in (NOW - SPANS[span], NOW):
        write(history, "three", at, ended("processed", 1))

    found = traffic(history, span, NOW)

    assert found.ingest is not None
    moments = [row[0] for row in found.ingest.rows]
    assert len(set(moments)) == len(moments) >= 2


def test_rate_is_over_the_time_that_was_counted(history: IngestHistory) -> None:
    at = NOW.replace(hour=13, minute=59)
    write(history, "three", at - timedelta(days=7, minutes=90), ended("processed", 120))

    found = traffic(history, "7d", at)

    # The first slot is whole: it begins two hours, less three seconds, before the week.
    assert found.deliveries == 162
    assert found.rate == pytest.approx(162 / (7 * 1440 + 120), rel=0.0001)


def test_mongodb_keeps_all_that_the_longest_span_shows(database: Db) -> None:
    create_indexes(database)
    at = NOW.replace(hour=13, minute=59)

    _, slots = IngestHistory(database).last(max(SPANS.values()), at)

    (kept,) = (
        index["expireAfterSeconds"]
        for index in database[INGEST_QUARTERS].list_indexes()
        if "expireAfterSeconds" in index
    )
    assert slots[0].at > at - timedelta(seconds=kept)


def test_nothing_is_drawn_where_nothing_came(database: Db) -> None:
    found = traffic(IngestHistory(database), "24h", NOW)

    assert (found.deliveries, found.p99, found.ingest, found.latency) == (0, None, None, None)


def test_drawings_hold_no_style_script_or_address_of_another_host(history: IngestHistory) -> None:
    found = traffic(history, "6h", NOW)

    assert found.ingest is not None
    svg = str(found.ingest.svg).replace("http://www.w3.org/2000/svg", "")
    assert "<title>" in svg
    for refused in ("<style", "<script", " style=", "<!--", "http", "javascript"):
        assert refused not in svg


def test_a_week_is_drawn_once_for_half_a_minute(database: Db, history: IngestHistory) -> None:
    board = TrafficBoard(history)
    board.of("7d", NOW)
    write(history, "three", BEFORE + MINUTE, ended("processed", 5))

    soon = board.of("7d", NOW + timedelta(seconds=29)).deliveries
    later = board.of("7d", NOW + timedelta(seconds=31)).deliveries

    assert (soon, later) == (42, 47)


def test_a_rate_is_compared_with_the_same_time_of_last_week(
    database: Db, history: IngestHistory
) -> None:
    assert traffic(history, "1h", NOW).change is None
    for minutes in range(1, 60):
        at = BEFORE - timedelta(days=7, minutes=minutes)
        write(history, f"process {minutes}", at, ended("processed", 2))

    of_an_hour = traffic(history, "1h", NOW)
    of_a_day = traffic(history, "24h", NOW)

    assert of_an_hour.change == pytest.approx(42 / (2 * 59) - 1, abs=0.2)
    assert of_a_day.change == pytest.approx(42 / (2 * 59) - 1, abs=0.05)
    assert traffic(history, "7d", NOW).change is None
