"""Three million simulated field-days: one false signal in a million; renamings are found."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial

import pytest

from tests.support.simulated_fields import false_signals, found_rename

pytestmark = pytest.mark.faults_full

_SUBJECTS = 10
_SEEDS = 40


def test_less_than_one_in_a_million_signals_is_false() -> None:
    run = partial(false_signals, subjects=_SUBJECTS, days=150)
    with ProcessPoolExecutor(2) as pool:
        done = list(pool.map(run, range(1000, 1000 + _SEEDS)))

    found = [each for signals, _ in done for each in signals]
    field_days = sum(days for _, days in done)
    print(f"\n{len(found)} false signals in {field_days:,} field-days: {found}")
    assert field_days >= 3_000_000
    assert len(found) <= field_days / 1_000_000


def test_all_planted_renamings_are_found() -> None:
    with ProcessPoolExecutor(2) as pool:
        done = list(pool.map(found_rename, range(100, 400)))

    missed = [seed for seed, (days, _) in zip(range(100, 400), done, strict=True) if days is None]
    took = sorted(days for days, _ in done if days is not None)
    others = [each for _, found in done for each in found]
    print(f"\n{len(took)} found after {took[len(took) // 2]} days (most: {took[-1]}); {others}")
    assert missed == []
    assert others == []
