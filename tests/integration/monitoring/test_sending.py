"""Points reach Datadog, however it answers and however long it is away."""

from __future__ import annotations

import threading
import time

import pytest

from tests.support.datadog import Bench, Captured, FakeIntake, Says, bench_on, bodies, intake


def test_report_arrives_compressed_with_name_tags_host_second_and_value(bench: Bench) -> None:
    bench.keep("a.b", second=int(time.time()) - 5, value=2.5)

    assert bench.flush() == 1

    (series,) = bench.intake.requests[0].series
    assert series["metric"] == "a.b"
    assert series["tags"] == ["env:test", "service:cxone-consumer"]
    assert series["resources"] == [{"name": "machine", "type": "host"}]
    assert [point["value"] for point in series["points"]] == [2.5]
    assert bench.sender.status.ok
    assert len(bench.sender.status.text) > 0
    assert bench.counted("buffer") == {"": 0}


@pytest.mark.parametrize(
    "says",
    [
        Says(408),
        Says(429, headers={"X-RateLimit-Reset": "1"}),
        Says(500, b"\xff\xfe not utf-8"),
        Says(503, b"<html>"),
        Says(reset=True),
    ],
)
def test_busy_intake_is_tried_again_with_the_same_bytes(bench: Bench, says: Says) -> None:
    bench.keep("a", "b")
    bench.intake.answer(says, says)

    assert bench.flush() == 2

    first, second, third = bodies(bench.intake)
    assert first == second == third


def test_hanging_intake_is_given_up_and_tried_again(fake: FakeIntake) -> None:
    with bench_on(fake, timeout=0.3) as bench:
        bench.keep("a")
        fake.answer(Says(hang=5.0))

        assert bench.flush() == 1

    assert len(fake.requests) == 2


def test_answer_that_drips_ends_with_the_timeout_and_counts(fake: FakeIntake) -> None:
    with bench_on(fake, timeout=0.5) as bench:
        bench.keep("a")
        fake.answer(Says(body=b"x" * 2000, drip=True))
        start = time.monotonic()

        assert bench.flush() == 1

    assert time.monotonic() - start < 20


@pytest.mark.parametrize("name", ["X-RateLimit-Reset", "Retry-After"])
def test_wait_is_as_long_as_the_intake_says(bench: Bench, name: str) -> None:
    bench.keep("a")
    bench.intake.answer(Says(429, headers={name: "17"}))

    bench.flush()

    assert 17 <= bench.time.at < 18


def test_without_a_word_of_the_intake_waits_double(bench: Bench) -> None:
    bench.keep("a")
    bench.intake.answer(Says(500), Says(500), Says(500))

    bench.flush()

    assert bench.time.at == pytest.approx(1 + 2 + 4)


def test_wait_longer_than_the_report_lets_points_wait_and_asks_nobody(bench: Bench) -> None:
    bench.keep("a")
    bench.intake.answer(Says(429, headers={"Retry-After": "100"}))

    assert bench.flush() == 0
    bench.time.at += 60
    assert bench.flush() == 0
    assert len(bench.intake.requests) == 1
    bench.time.at += 41
    assert bench.flush() == 1


def test_outage_costs_no_point_and_each_is_resent_as_it_was(bench: Bench) -> None:
    now = int(time.time())
    bench.intake.rule = lambda _: Says(503)
    for ago in (180, 120, 60):
        bench.keep("a", "b", second=now - ago, value=float(ago))
        bench.flush()
    assert not bench.sender.status.ok
    assert bench.counted("buffer") == {"": 6}

    bench.intake.rule = lambda _: None
    assert bench.flush() == 6

    assert sorted(bench.intake.accepted.values()) == [60, 60, 120, 120, 180, 180]
    assert bench.counted("dropped") == {}


def test_stop_ends_a_long_wait_at_once(bench: Bench) -> None:
    bench.keep("a")
    bench.intake.rule = lambda _: Says(429, headers={"Retry-After": "40"})

    bench.flush(stopping=lambda: bench.time.at > 1)

    assert bench.time.at < 2
    assert len(bench.intake.requests) == 1
    assert bench.counted("buffer") == {"": 1}


def test_intake_that_is_not_there_costs_no_point() -> None:
    with intake() as gone:
        pass
    with bench_on(gone, timeout=1.0) as bench:
        bench.keep("a")

        assert bench.flush() == 0

        assert bench.counted("buffer") == {"": 1}
        assert "requests" not in bench.sender.status.fault
        assert bench.counted("requests") == {"busy": 6}


def test_points_while_a_flush_runs_are_kept_for_the_next(bench: Bench) -> None:
    bench.keep("a")
    held = threading.Event()

    def hold(_: Captured) -> None:
        held.wait(30)

    bench.intake.rule = hold
    thread = threading.Thread(target=bench.flush)
    thread.start()
    while not bench.intake.requests:
        time.sleep(0.01)
    start = time.monotonic()

    bench.keep("b")
    sent = bench.flush()

    assert sent == 0
    assert time.monotonic() - start < 15
    held.set()
    thread.join()
    assert bench.flush() == 1
    assert bench.arrived == {"a", "b"}
