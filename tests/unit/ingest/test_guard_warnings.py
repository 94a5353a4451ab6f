"""Fields that a guard keeps out are told once in a while."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumer.ingest.guard_warnings import GuardWarnings

Lines = list[dict[str, Any]]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture_logs() as captured:
        yield captured  # type: ignore[misc]


def test_a_flood_of_one_subject_is_one_line_a_minute_that_counts_the_others(lines: Lines) -> None:
    clock = Clock()
    warnings = GuardWarnings(clock)

    for _ in range(1000):
        warnings.warn("contact.created", "versions_per_hour", 3)
    clock.now += timedelta(seconds=61)
    warnings.warn("contact.created", "versions_per_hour", 3)

    assert [(line["log_level"], line["subject"], line["suppressed"]) for line in lines] == [
        ("warning", "contact.created", 0),
        ("warning", "contact.created", 999),
    ]
    assert "CXONE_SCHEMA_MAX_VERSIONS_PER_HOUR" in lines[0]["next_step"]


def test_thousands_of_subjects_without_room_are_one_line(lines: Lines) -> None:
    warnings = GuardWarnings(Clock())

    for number in range(3000):
        warnings.warn(f"type-{number}", "subjects", 3)

    assert [line["subject"] for line in lines] == ["type-0"]


def test_another_guard_of_the_same_subject_is_told_too(lines: Lines) -> None:
    warnings = GuardWarnings(Clock())

    warnings.warn("contact.created", "depth", 1)
    warnings.warn("contact.created", "paths_per_subject", 1)

    assert [line["guard"] for line in lines] == ["depth", "paths_per_subject"]
