"""Shares of versions: what a page shows adds up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from hypothesis import given
from hypothesis import strategies as st

from consumer.adoption.history import Sent
from consumer.console.screens.adoption import shares, version_rows
from consumer.console.templating import percent


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=21).filter(any))
def test_shares_add_up_to_a_hundred_as_they_are_shown(counts: Sequence[int]) -> None:
    shown = [float(percent(each).split("\u202f")[0]) for each in shares(counts)]

    assert round(sum(shown), 1) == 100.0
    assert [each > 0 for each in shown] == [count > 0 for count in counts]


def test_nearly_all_is_not_all() -> None:
    assert shares([999_999, 1]) == [99.9, 0.1]
    assert shares([2, 14, 27]) == [4.6, 32.6, 62.8]
    assert shares([0, 0]) == [0.0, 0.0]


def test_versions_beyond_a_bound_and_documents_without_one_are_rows_too() -> None:
    documents = {0: 5, **dict.fromkeys(range(1, 31), 2)}
    sent = Sent({datetime(2026, 1, 1, tzinfo=timezone.utc): {30: 3, 2: 1}}, None)

    rows = version_rows(documents, sent, 30)

    assert [rows[0].name, rows[-1].name] == ["version 30", "11 older"]
    assert sum(row.documents for row in rows) == 65
    assert sum(row.sent for row in rows) == 4
    assert round(sum(row.share for row in rows), 1) == 100.0
