"""Signals become events in Datadog, each once."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pymongo.database import Database
from structlog.testing import capture_logs

from consumer.core.clock import utc_now
from consumer.core.paths import Path
from consumer.mongodb.client import open_database
from consumer.monitoring.datadog.sink import LogSink
from consumer.privacy.paths import read_paths
from consumer.privacy.rules import Redaction
from consumer.signals.signals import Signal, State
from consumer.signals.store import Signals
from jobs.announce_signals import AnnounceSignals
from tests.support.datadog import COMMON, Bench, Says
from tests.support.jobs import Run
from tests.support.signals import GONE, RENAMED

Db = Database[dict[str, Any]]


@pytest.fixture
def signals(database: Db) -> Signals:
    return Signals(open_database(database.client, database.name))


def keep(
    signals: Signals, path: Path, to: Path | None = None, subject: str = "s", state: State = "open"
) -> None:
    now = utc_now()
    kind: Any = "renamed" if to else "vanished"
    figures = RENAMED if to else GONE
    found = Signal(kind, path, to, now, 0.9, figures, subject=subject, last_seen=now, state=state)
    signals.save([(found, True)])


def job(signals: Signals, sink: Any, *hidden: str) -> AnnounceSignals:
    masks = Redaction(read_paths(hidden))
    return AnnounceSignals(signals=signals, sink=sink, common=COMMON, masks=masks, clock=utc_now)


def events(bench: Bench) -> list[Any]:
    return [r.body for r in bench.intake.requests if r.path == "/api/v1/events"]


def test_a_signal_is_one_event_with_the_line_that_mends_it(signals: Signals, bench: Bench) -> None:
    keep(signals, ("case",), ("cont@act",), "contact.created")

    results = [job(signals, bench.sender)(Run(fence=1)) for _ in range(3)]

    assert results == [{"events": 1}, {"events": 0}, {"events": 0}]
    (event,) = events(bench)
    assert event["title"] == "contact.created: renamed case"
    assert "case: likely cont(at)act now (score 0.90)" in event["text"]
    assert "schema alias contact.created case" in event["text"]
    assert event["alert_type"] == "warning"
    assert {"event_type:contact.created", "signal:renamed"} <= set(event["tags"])


def test_names_that_are_hidden_leave_nothing_in_datadog(signals: Signals, bench: Bench) -> None:
    keep(signals, ("people", "Ada"), ("people", "Grace"))

    job(signals, bench.sender, "people")(Run(fence=1))

    assert "Ada" not in str(events(bench))
    assert "Grace" not in str(events(bench))


@pytest.mark.parametrize("state", ["acknowledged", "muted"])
def test_what_somebody_decided_about_is_not_told(
    signals: Signals, bench: Bench, state: State
) -> None:
    keep(signals, ("queue",), state=state)

    assert job(signals, bench.sender)(Run(fence=1)) == {"events": 0}
    assert events(bench) == []


def test_a_signal_that_datadog_did_not_take_is_told_later(signals: Signals, bench: Bench) -> None:
    keep(signals, ("queue",))
    bench.intake.rule = lambda _: Says(503)
    first = job(signals, bench.sender)(Run(fence=1))
    bench.intake.rule = lambda _: None
    second = job(signals, bench.sender)(Run(fence=2))

    assert (first, second) == ({"events": 0}, {"events": 1})


def test_two_processes_tell_a_signal_once(signals: Signals, bench: Bench) -> None:
    for number in range(10):
        keep(signals, (f"f{number}",))
    jobs = [
        threading.Thread(target=job(signals, bench.sender), args=(Run(fence=n),)) for n in (1, 2)
    ]

    for each in jobs:
        each.start()
    for each in jobs:
        each.join()
    job(signals, bench.sender)(Run(fence=3))

    assert sorted(each["title"] for each in events(bench)) == sorted(
        f"s: vanished f{number}" for number in range(10)
    )


def test_without_a_key_the_log_has_it(signals: Signals) -> None:
    keep(signals, ("queue",))

    with capture_logs() as lines:
        assert job(signals, LogSink())(Run(fence=1)) == {"events": 1}

    ((what, title),) = ((line["event"], line["title"]) for line in lines)
    assert (what, title) == ("signal of a field", "s: vanished queue")
