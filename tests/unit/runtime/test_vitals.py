"""When the service may be relied on, part by part."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from consumer.http.health import Condition
from consumer.runtime.vitals import Vitals


def identity(seconds: float | None) -> float | None:
    return seconds


def vitals(*silences: float | None, kept: bool = True) -> Vitals:
    return Vitals(
        url="http://127.0.0.1:8080",
        stopping=threading.Event(),
        checks={"spool": lambda: Condition(kept, "as it is")},
        stores=("spool",),
        silences={f"part {n}": partial(identity, each) for n, each in enumerate(silences)},
    )


@pytest.mark.parametrize(
    ("silences", "stuck"),
    [
        ((0.0, 9.9), None),
        ((0.0, 10.4), "part 1 has not moved for 10 s"),
        ((None, 0.0), "part 0 has not started"),
        ((0.0, None), "part 1 has not started"),
    ],
)
def test_the_part_that_does_not_move_is_named(
    silences: tuple[float | None, ...], stuck: str | None
) -> None:
    assert vitals(*silences).stuck() == stuck


def test_it_is_ready_when_every_part_moves_and_a_delivery_would_be_kept() -> None:
    assert vitals(0.0, 0.0).ready()
    assert not vitals(0.0, None).ready()
    assert not vitals(0.0, 0.0, kept=False).ready()
