"""Figures from counts, the grid of time, and how a report looks."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone

import pytest
from rich.console import Console

from consumer.adoption.figures import SubjectCounts, SubjectFigures, figures
from consumer.adoption.report import Report
from consumer.cli.adoption import bar, print_report, sparkline
from consumer.core.clock import HOUR, hour_of, next_slice, slice_of
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import VERSION_PRODUCER_RATE, VERSION_TOTAL
from consumer.mongodb.retention import retained_from
from jobs.adoption import GAUGES, set_gauges

NOON = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)


def counts(subject: str, total: int, **fields: int | None) -> SubjectCounts:
    given: dict[str, int | None] = {
        "latest_version": 2,
        "adopted": 0,
        "recent": 0,
        "recent_latest": 0,
        "backlog": 0,
        **fields,
    }
    return SubjectCounts(subject=subject, total=total, **given)  # type: ignore[arg-type]


def test_rates_are_percent_of_documents_and_of_the_last_hours_events() -> None:
    (found,) = figures([counts("s", 8, adopted=2, recent=4, recent_latest=3, backlog=1)])

    assert found == SubjectFigures("s", 8, 2, 25.0, 75.0, 87.5, 2)


def test_what_is_not_known_has_no_rate() -> None:
    (found,) = figures([counts("s", 8, backlog=None)])

    assert (found.producer_adoption_rate, found.conforming_rate) == (None, None)


def test_documents_that_lack_something_on_purpose_are_left_out_of_those_that_conform() -> None:
    (some,) = figures([counts("s", 8, backlog=1, unfilled=4)])
    (all_of_them,) = figures([counts("s", 8, unfilled=8)])
    (nobody_knows,) = figures([counts("s", 8, unfilled=None)])

    assert (some.conforming_rate, some.unfilled) == (75.0, 4)
    assert (all_of_them.conforming_rate, all_of_them.unfilled) == (None, 8)
    assert (nobody_knows.conforming_rate, nobody_knows.unfilled) == (None, None)


def test_a_subject_without_documents_has_no_figures() -> None:
    assert figures([counts("s", 0, recent=0)]) == []


def test_a_backlog_that_ran_ahead_of_the_count_is_none_conforming() -> None:
    (found,) = figures([counts("s", 8, backlog=9)])

    assert found.conforming_rate == 0


def test_the_rest_is_one_subject_whose_rates_are_those_of_the_sums() -> None:
    found = figures(
        [
            counts("small", 1, adopted=1, recent=1, recent_latest=1),
            counts("large", 100),
            counts("b", 5, recent=3, backlog=2, unfilled=2),
        ],
        busiest=1,
    )

    assert [each.subject for each in found] == ["large", "other"]
    assert found[1] == SubjectFigures("other", 6, 1, 100 / 6, 25.0, 50.0, 0, 2)


def test_one_unknown_backlog_makes_that_of_the_rest_unknown() -> None:
    found = figures([counts("a", 5), counts("b", 2), counts("c", 1, backlog=None)], busiest=1)

    assert found[1].conforming_rate is None


@pytest.mark.parametrize(
    ("minutes", "hour", "slice_", "following"),
    [(0, 0, 0, 0), (4.9, 0, 0, 5), (5, 0, 5, 5), (59.99, 0, 55, 60), (60, 60, 60, 60)],
)
def test_time_is_cut_into_hours_and_slices(
    minutes: float, hour: int, slice_: int, following: int
) -> None:
    at = NOON + timedelta(minutes=minutes)

    assert hour_of(at) == NOON + timedelta(minutes=hour)
    assert slice_of(at) == NOON + timedelta(minutes=slice_)
    assert next_slice(at) == NOON + timedelta(minutes=following)


def test_an_hour_counts_as_retained_when_none_of_its_events_can_have_expired() -> None:
    assert retained_from(NOON, 1) == NOON - 24 * HOUR
    assert retained_from(NOON + timedelta(milliseconds=1), 1) == NOON - 23 * HOUR
    assert retained_from(NOON, 0) is None


def test_gauges_show_the_last_report_and_nothing_of_the_one_before() -> None:
    metrics = Metrics()
    set_gauges(metrics, figures([counts("gone", 9, recent=1), counts("quiet", 5, recent=1)]))

    set_gauges(metrics, figures([counts("quiet", 6)]))

    values = {
        (value.metric.name, value.tags["event_type"]): value.value
        for value in metrics.snapshot()
        if value.metric.name in GAUGES
    }
    assert values[VERSION_TOTAL, "quiet"] == 6
    assert (VERSION_PRODUCER_RATE, "quiet") not in values
    assert {subject for _, subject in values} == {"quiet"}


def drawn(report: Report, encoding: str, *, whole: bool = False, width: int = 200) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    print_report(Console(file=stream, width=width, markup=False), report, whole=whole)
    stream.flush()
    return raw.getvalue().decode(encoding)


def a_report(subjects: int = 1) -> Report:
    names = [f"s{n}" for n in range(subjects)]
    return Report(
        NOON,
        figures([counts(name, 1000 - n, adopted=1) for n, name in enumerate(names)]),
        {name: {1: 999, 2: 1} for name in names},
        {(NOON - 3 * HOUR, name, 2): 5 for name in names},
    )


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_a_report_survives_the_encoding_of_its_output(encoding: str) -> None:
    text = drawn(a_report(), encoding)

    assert "0.1 %" in text
    assert "99.9 %" in text
    assert ("█" in text) == (encoding == "utf-8")
    assert "?" not in text


def test_a_report_breaks_no_word_at_80_columns() -> None:
    report = Report(
        NOON, figures([counts("agent.state_changed", 4_418_720, adopted=18_720)]), {}, {}
    )

    text = drawn(report, "utf-8", width=80)

    words = ("agent.state_changed", "documents", "adopted", "producers", "conforming", "4,418,720")
    assert all(word in text for word in words), text


def test_a_report_draws_the_busiest_and_says_how_to_see_the_others() -> None:
    text = drawn(a_report(7), "utf-8")

    assert "2 more" in text
    assert "--type" in text
    assert "more" not in drawn(a_report(7), "utf-8", whole=True)


def test_a_report_of_nothing_says_so() -> None:
    assert "No documents" in drawn(Report(NOON, [], {}, {}), "utf-8")


def test_a_small_share_is_drawn_and_none_is_not() -> None:
    assert bar(0.0001, " #").count("#") == 1
    assert bar(0, " #").count("#") == 0
    assert sparkline([0, 1, 1000], 1000, " ab") == " ab"
    assert sparkline([0, 0], 0, " ab") == "  "
