"""A report's points, and that no report slows a webhook."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import structlog

from consumer.core.clock import utc_now
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import DELIVERIES, DURATION, TABLE, VERSION_TOTAL
from consumer.monitoring.datadog.points import Common, Point, Reading, freeze
from consumer.monitoring.datadog.replies import Account
from consumer.monitoring.datadog.sink import open_sink
from jobs.report_datadog import ReportDatadog
from jobs.scheduling.job import Job
from jobs.scheduling.scheduler import Scheduler
from tests.support.datadog import COMMON, KEY, Bench, Db, FakeIntake, Says
from tests.support.jobs import Run
from tests.support.service import eventually, running_service


def report(bench: Bench, clock: Callable[[], datetime] = utc_now) -> ReportDatadog:
    fleet = Common(tags=("env:test",), host="machine", interval=60)
    return ReportDatadog(
        metrics=bench.metrics, sink=bench.sender, common=COMMON, fleet=fleet, clock=clock
    )


def test_counts_of_a_process_sum_up_over_reports_and_outage(bench: Bench) -> None:
    now = utc_now()
    job = report(bench, clock=lambda: now)
    bench.intake.answer(*[Says(503)] * 6)
    for number in range(3):
        for _ in range(number + 1):
            bench.metrics.observe(DURATION, 0.002, outcome="processed")
        now += timedelta(seconds=60)
        job(Run())
        bench.time.at += 60

    counts = [value for (name, _, _), value in bench.intake.accepted.items() if name == DELIVERIES]

    assert sorted(counts) == [1, 2, 3]


def test_result_of_a_report_says_how_it_went(bench: Bench) -> None:
    run = Run()

    result = report(bench)(run)

    assert result["sent"] == result["points"] > 10
    assert result["waiting"] == 0
    assert result["last_success"] is not None
    assert run.facts == {"points": result["points"]}


def test_last_report_of_a_process_takes_one_attempt(bench: Bench) -> None:
    bench.intake.rule = lambda _: Says(503)
    job = report(bench)

    job.finish(2.0)

    assert len(bench.intake.requests) == 1


def test_fleet_values_go_out_without_the_tags_of_a_process(bench: Bench) -> None:
    bench.metrics.set(VERSION_TOTAL, 7, event_type="Contact.Created")

    report(bench)(Run())

    found = {key: value for key, value in bench.intake.accepted.items() if key[0] == VERSION_TOTAL}
    assert [(tags, value) for (_, tags, _), value in found.items()] == [
        (("env:test", "event_type:contact.created"), 7.0)
    ]


def test_every_metric_of_the_table_keeps_the_published_rules(bench: Bench) -> None:
    for row in TABLE:
        tags = dict.fromkeys(row.tags, "Größe @ 9\n" + "x" * 300)
        if row.kind == "histogram":
            bench.metrics.observe(row.name, 1, **tags)
        elif row.kind == "gauge":
            bench.metrics.set(row.name, 1, **tags)
        elif not row.observations_of:
            bench.metrics.count(row.name, 1, **tags)

    result = report(bench)(Run())

    assert result["sent"] == result["points"]
    assert {row.name for row in TABLE if row.kind != "histogram"} <= bench.arrived


def test_without_a_key_the_same_series_go_to_the_log() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.observe(DURATION, 0.002, outcome="processed")
    job = ReportDatadog(
        metrics=metrics,
        sink=open_sink(None, 1000, metrics, utc_now),
        common=COMMON,
        fleet=COMMON,
        clock=utc_now,
    )

    with structlog.testing.capture_logs() as lines:
        result = job(Run())

    series = {name: value for line in lines for name, value in line["series"].items()}
    assert series[f"{DELIVERIES}{{env:test,outcome:processed,service:cxone-consumer}}"] == 3
    assert len(series) == result["points"]
    assert {line["log_level"] for line in lines} == {"debug"}
    assert "DD_API_KEY is not set" in result["state"]


def test_outage_of_datadog_slows_no_webhook(
    mongod_uri: str, database: Db, fake: FakeIntake
) -> None:
    fake.rule = lambda _: Says(hang=30.0)
    with running_service(mongod_uri, database.name) as client:
        metrics = client.service.shared.metrics
        sender = open_sink(Account(fake.url, KEY, timeout=5), 1000, metrics, utc_now)
        job = ReportDatadog(
            metrics=metrics, sink=sender, common=COMMON, fleet=COMMON, clock=utc_now
        )
        scheduler = Scheduler([Job("report_datadog", 60.0, job)])
        scheduler.start()
        eventually(lambda: fake.requests)

        times = []
        for number in range(40):
            start = time.monotonic()
            assert client.post({"id": number, "type": "contact.created"}).status == 200
            times.append(time.monotonic() - start)
        waiting = not sender.status.ok or not scheduler.stop(0)
        ended = scheduler.stop(60.0)

    assert waiting
    assert ended
    assert sorted(times)[len(times) // 2] < 2
    sender.close()


def test_point_keeps_its_second_when_reports_are_late(bench: Bench) -> None:
    moment = datetime.now(timezone.utc) - timedelta(minutes=30)
    job = report(bench, clock=lambda: moment)

    job(Run())

    seconds = {second for _, _, second in bench.intake.accepted}
    assert seconds == {int(moment.timestamp())}


def test_value_of_a_point_is_a_plain_number() -> None:
    (point,), _ = freeze([Reading("a", "count", 3)], COMMON, 1)

    assert isinstance(point, Point)
    assert type(point.value) is float
