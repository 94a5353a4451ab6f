"""Give tests of what reaches Datadog an intake, and a sender on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.datadog import Bench, FakeIntake, bench_on, intake


@pytest.fixture
def fake() -> Iterator[FakeIntake]:
    with intake() as running:
        yield running
        assert running.faults == []


@pytest.fixture
def bench(fake: FakeIntake) -> Iterator[Bench]:
    with bench_on(fake) as made:
        yield made
