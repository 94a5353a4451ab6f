"""Months of simulated fields: no false signal, and each planted renaming is found.

At full size it runs by hand: `pytest tests/faults/test_signals_at_size.py -m faults_full`.
"""

from __future__ import annotations

import pytest

from tests.support.simulated_fields import false_signals, found_rename


def test_fields_of_any_habit_make_no_false_signal() -> None:
    found, field_days = false_signals(seed=1, subjects=2, days=120)

    assert found == []
    assert field_days == 2 * 50 * 120


@pytest.mark.parametrize("seed", range(6))
def test_a_planted_renaming_is_found(seed: int) -> None:
    days, others = found_rename(seed)

    assert days is not None
    assert days <= 14
    assert others == []
