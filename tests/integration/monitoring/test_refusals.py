"""Points that Datadog will not take are dropped alone and counted; the rest waits."""

from __future__ import annotations

import time

import pytest

from tests.support.datadog import KEY, Bench, Captured, FakeIntake, Says, bench_on, intake


def test_too_large_is_halved_until_it_fits(bench: Bench) -> None:
    names = [f"a{number}" for number in range(13)]
    bench.keep(*names)
    bench.intake.rule = lambda captured: Says(413) if len(captured.series) > 3 else None

    assert bench.flush() == 13

    assert bench.arrived == set(names)
    assert bench.counted("dropped") == {}


def test_bad_series_is_found_and_dropped_alone(bench: Bench) -> None:
    names = [f"a{number}" for number in range(40)]
    for ago in (2, 1):
        bench.keep(*names, second=int(time.time()) - ago)

    def judge(captured: Captured) -> Says | None:
        bad = any(series["metric"] in ("a7", "a31") for series in captured.series)
        return Says(400, b'{"errors":["Payload is not valid"]}') if bad else None

    bench.intake.rule = judge

    assert bench.flush() == 76

    assert bench.arrived == set(names) - {"a7", "a31"}
    assert bench.counted("dropped") == {"rejected": 4}
    assert bench.counted("buffer") == {"": 0}
    assert len(bench.intake.requests) < 30


@pytest.mark.parametrize("status", [401, 403])
def test_refused_key_keeps_the_points_and_is_tried_once_a_minute(bench: Bench, status: int) -> None:
    bench.keep("a")
    bench.intake.rule = lambda _: Says(status, b'{"errors":["Forbidden"]}')

    for _ in range(13):
        bench.flush()
        bench.time.at += 10

    assert len(bench.intake.requests) == 3
    assert bench.sender.status.unauthorised
    assert "DD_API_KEY" in bench.sender.status.text
    assert KEY not in bench.sender.status.text
    assert bench.counted("buffer") == {"": 1}
    bench.intake.rule = lambda _: None
    bench.time.at += 60
    assert bench.flush() == 1
    assert bench.sender.status.ok


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed_for_they_would_carry_the_key(bench: Bench, status: int) -> None:
    bench.keep("a")
    with intake() as other:
        elsewhere = {"Location": f"{other.url}/api/v2/series"}
        bench.intake.answer(Says(status, headers=elsewhere))

        assert bench.flush() == 0

        assert other.requests == []
        assert other.faults == []
    assert len(bench.intake.requests) == 1
    assert bench.counted("buffer") == {"": 1}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"[]",
        b"null",
        b"{",
        b'{"errors":"x"}',
        b'{"errors":[1]}',
        b"\xff\xff",
        b"x" * 99,
    ],
)
@pytest.mark.parametrize("status", [200, 202])
def test_odd_body_of_a_good_answer_is_no_reason_to_send_again(
    bench: Bench, status: int, body: bytes
) -> None:
    bench.keep("a")
    bench.intake.answer(Says(status, body))

    assert bench.flush() == 1

    assert len(bench.intake.requests) == 1
    assert bench.counted("buffer") == {"": 0}


def test_site_of_the_environment_changes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DD_SITE", "datadoghq.eu")
    monkeypatch.setenv("DD_API_KEY", "another")
    monkeypatch.setenv("DD_APP_KEY", "another")
    bench.keep("a")

    assert bench.flush() == 1


def test_points_that_datadog_would_refuse_for_their_age_are_dropped_and_counted(
    bench: Bench,
) -> None:
    bench.keep("a", second=int(time.time()) - 4000)
    bench.keep("b")

    assert bench.flush() == 1

    assert bench.arrived == {"b"}
    assert bench.counted("dropped") == {"too_old": 1}


def test_full_buffer_drops_the_oldest_and_counts_them(fake: FakeIntake) -> None:
    now = int(time.time())
    with bench_on(fake, buffer=5) as bench:
        for ago in range(8, 0, -1):
            bench.keep("a", second=now - ago, value=float(ago))

        assert bench.flush() == 5

        assert sorted(fake.accepted.values()) == [1, 2, 3, 4, 5]
        assert bench.counted("dropped") == {"buffer_full": 3}


def test_large_reports_are_cut_within_the_limits(fake: FakeIntake) -> None:
    with bench_on(fake, buffer=50_000) as bench:
        bench.keep(*(f"a.{'x' * 150}.{number}" for number in range(3000)))

        assert bench.flush() == 3000

        assert len(fake.requests) > 1
        assert max(len(captured.raw) for captured in fake.requests) <= 512_000
