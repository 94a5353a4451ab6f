"""Reports reach Datadog once each, through refusals, outages and odd answers of its intake."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import structlog
from pymongo.database import Database

from consumer.clock import utc_now
from consumer.datadog.buffer import Buffer
from consumer.datadog.intake import Account, Intake
from consumer.datadog.logged import LogSender
from consumer.datadog.outlet import outlet
from consumer.datadog.points import Common, Point, Reading, freeze
from consumer.datadog.sender import Sender
from consumer.datadog.trying import Tools
from consumer.errors import StoreUnavailable
from consumer.metrics import Metrics
from consumer.metrics.table import DELIVERIES, TABLE, VERSION_TOTAL
from consumer.schema.jsontypes import INTEGER, STRING
from consumer.schema.model import Change, SchemaVersion
from consumer.storage.announcements import Announcements
from jobs.announce_versions import AnnounceVersions
from jobs.job import Job
from jobs.report_datadog import ReportDatadog
from jobs.scheduler import Scheduler
from tests.intake import KEY, Captured, FakeIntake, Says, intake
from tests.service import eventually, running_service

Db = Database[dict[str, Any]]
COMMON = Common(tags=("env:test", "service:cxone-consumer"), host="machine", interval=60)


@dataclass
class Run:
    """A run of a job that a test can end."""

    fence: int = 1
    ended: bool = False
    facts: dict[str, object] = field(default_factory=dict)

    def stopping(self) -> bool:
        return self.ended

    def progress(self, **facts: object) -> None:
        self.facts |= facts


@dataclass
class Time:
    """A monotonic clock that sleeping moves; `slept` is every wait in whole."""

    at: float = 0.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class Bench:
    """A sender on a fake intake, with its parts."""

    intake: FakeIntake
    sender: Sender
    metrics: Metrics
    time: Time

    def keep(self, *names: str, second: int | None = None, value: float = 1.0) -> None:
        at = int(time.time()) if second is None else second
        readings = [Reading(name, "gauge", value) for name in names]
        self.sender.keep(freeze(readings, COMMON, at)[0])

    def flush(self, seconds: float = 48.0, stopping: Callable[[], bool] = lambda: False) -> int:
        return self.sender.flush(stopping, seconds).sent

    def counted(self, name: str) -> dict[str, float]:
        return {
            next(iter(value.tags.values()), ""): value.value
            for value in self.metrics.snapshot()
            if value.metric.name == f"cxone.dataaction.datadog.{name}"
        }

    @property
    def arrived(self) -> set[str]:
        return {name for name, _, _ in self.intake.accepted}


@pytest.fixture
def fake() -> Iterator[FakeIntake]:
    with intake() as running:
        yield running
        assert running.faults == []


@pytest.fixture
def bench(fake: FakeIntake) -> Iterator[Bench]:
    with bench_on(fake) as made:
        yield made


class bench_on:  # noqa: N801
    """The parts as the runtime wires them, with a time of their own."""

    def __init__(self, fake: FakeIntake, timeout: float = 5.0, buffer: int = 1000) -> None:
        ticks, metrics = Time(), Metrics()
        self._channel = Intake(Account(fake.url, KEY, timeout), utc_now)
        tools = Tools(now=ticks.now, sleep=ticks.sleep, jitter=lambda: 1.0)
        sender = Sender(
            channel=self._channel,
            buffer=Buffer(buffer),
            metrics=metrics,
            clock=utc_now,
            tools=tools,
        )
        self._bench = Bench(fake, sender, metrics, ticks)

    def __enter__(self) -> Bench:
        return self._bench

    def __exit__(self, *_: object) -> None:
        self._channel.close()


def bodies(fake: FakeIntake) -> list[Any]:
    return [captured.body for captured in fake.requests]


def test_report_arrives_compressed_with_name_tags_host_second_and_value(bench: Bench) -> None:
    bench.keep("a.b", second=int(time.time()) - 5, value=2.5)

    assert bench.flush() == 1

    (series,) = bench.intake.requests[0].series
    assert series["metric"] == "a.b"
    assert series["tags"] == ["env:test", "service:cxone-consumer"]
    assert series["resources"] == [{"name": "machine", "type": "host"}]
    assert [point["value"] for point in series["points"]] == [2.5]
    assert bench.sender.state.ok
    assert len(bench.sender.state.text) > 0
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
        fake.answer(Says(body=b"x" * 200, drip=True))
        start = time.monotonic()

        assert bench.flush() == 1

    assert time.monotonic() - start < 3


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
    assert not bench.sender.state.ok
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
    assert bench.sender.state.unauthorised
    assert "DD_API_KEY" in bench.sender.state.text
    assert KEY not in bench.sender.state.text
    assert bench.counted("buffer") == {"": 1}
    bench.intake.rule = lambda _: None
    bench.time.at += 60
    assert bench.flush() == 1
    assert bench.sender.state.ok


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


def test_intake_that_is_not_there_costs_no_point() -> None:
    with intake() as gone:
        pass
    with bench_on(gone, timeout=1.0) as bench:
        bench.keep("a")

        assert bench.flush() == 0

        assert bench.counted("buffer") == {"": 1}
        assert "requests" not in bench.sender.state.fault
        assert bench.counted("requests") == {"busy": 6}


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


def report(bench: Bench, clock: Callable[[], datetime] = utc_now) -> ReportDatadog:
    fleet = Common(tags=("env:test",), host="machine", interval=60)
    return ReportDatadog(
        metrics=bench.metrics, outlet=bench.sender, common=COMMON, fleet=fleet, clock=clock
    )


def test_counts_of_a_process_sum_up_over_reports_and_outage(bench: Bench) -> None:
    now = utc_now()
    job = report(bench, clock=lambda: now)
    bench.intake.answer(*[Says(503)] * 6)
    for number in range(3):
        bench.metrics.count(DELIVERIES, number + 1, outcome="processed")
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
        if row.kind == "counter":
            bench.metrics.count(row.name, 1, **tags)
        elif row.kind == "gauge":
            bench.metrics.set(row.name, 1, **tags)
        else:
            bench.metrics.observe(row.name, 1, **tags)

    result = report(bench)(Run())

    assert result["sent"] == result["points"]
    assert {row.name for row in TABLE if row.kind != "histogram"} <= bench.arrived


def test_without_a_key_the_same_series_go_to_the_log() -> None:
    metrics = Metrics()
    metrics.count(DELIVERIES, 3, outcome="processed")
    job = ReportDatadog(
        metrics=metrics,
        outlet=outlet(None, 1000, metrics, utc_now),
        common=COMMON,
        fleet=COMMON,
        clock=utc_now,
    )

    with structlog.testing.capture_logs() as lines:
        result = job(Run())

    series = {name: value for line in lines for name, value in line["series"].items()}
    assert series[f"{DELIVERIES}{{env:test,outcome:processed,service:cxone-consumer}}"] == 3
    assert len(series) == result["points"]
    assert {line["log_level"] for line in lines} == {"info"}
    assert "DD_API_KEY is not set" in result["state"]


def version(subject: str, number: int, at: datetime, *changes: Change) -> SchemaVersion:
    default = Change("field_added", ("agent", "nam@e"), None, STRING, "event")
    return SchemaVersion(subject, number, (), changes or (default,), at)


@dataclass
class Announcing:
    """The job that tells of versions, on a real collection of them."""

    database: Db
    bench: Bench
    now: datetime = field(default_factory=utc_now)

    def register(self, subject: str, number: int, *changes: Change, ago: float = 0) -> None:
        at = self.now - timedelta(seconds=ago)
        document = version(subject, number, at, *changes).to_document()
        self.database["schema_versions"].insert_one(document)

    def newest(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for document in self.database["schema_versions"].find().sort("_id"):
            found[document["_id"]["subject"]] = document["_id"]["version"]
        return found

    def job(self, newest: Callable[[], dict[str, int]] | None = None) -> AnnounceVersions:
        return AnnounceVersions(
            newest=newest or self.newest,
            announcements=Announcements(self.database["reports"], self.database["schema_versions"]),
            outlet=self.bench.sender,
            common=COMMON,
            clock=lambda: self.now,
        )

    @property
    def events(self) -> list[Any]:
        return [r.body for r in self.bench.intake.requests if r.path == "/api/v1/events"]


@pytest.fixture
def announcing(database: Db, bench: Bench) -> Announcing:
    return Announcing(database, bench)


def test_new_versions_of_a_subject_are_one_event_with_path_types_and_class(
    announcing: Announcing,
) -> None:
    announcing.register("contact.created", 1)
    announcing.register(
        "contact.created", 2, Change("type_conflict", ("wait",), INTEGER, INTEGER | STRING)
    )
    announcing.database["reports"].insert_one(
        {"_id": "announced_versions", "told": [], "revision": 1, "fence": 1}
    )

    assert announcing.job()(Run()) == {"events": 1}

    (event,) = announcing.events
    assert event["title"] == "Schema of contact.created: versions 1 to 2"
    assert "1: field_added" in event["text"]
    assert "2: type_conflict wait integer → integer or string" in event["text"]
    assert event["alert_type"] == "warning"
    assert "event_type:contact.created" in event["tags"]


def test_event_is_not_repeated_by_the_next_run_a_restart_or_another_process(
    announcing: Announcing,
) -> None:
    announcing.register("contact.created", 1)

    results = [announcing.job()(Run(fence)) for fence in (1, 1, 2, 3)]

    assert [result["events"] for result in results] == [1, 0, 0, 0]
    assert len(announcing.events) == 1


def test_two_processes_at_once_tell_each_version_once(announcing: Announcing) -> None:
    for number in range(8):
        announcing.register(f"subject {number}", 1)
    gate = threading.Barrier(2)

    def newest() -> dict[str, int]:
        gate.wait(10)
        return announcing.newest()

    def work() -> None:
        with contextlib.suppress(StoreUnavailable):
            announcing.job(newest)(Run())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    announcing.job()(Run())

    titles = [event["title"] for event in announcing.events]
    assert sorted(titles) == sorted(set(titles))
    assert len(titles) == 8


def test_holder_of_an_older_fence_tells_nothing(announcing: Announcing) -> None:
    announcing.register("contact.created", 1)
    announcing.job()(Run(fence=5))
    announcing.register("contact.created", 2)

    with pytest.raises(StoreUnavailable, match="another process"):
        announcing.job()(Run(fence=4))

    assert len(announcing.events) == 1


def test_event_that_could_not_be_sent_is_sent_by_a_later_run(announcing: Announcing) -> None:
    announcing.register("contact.created", 1)
    announcing.bench.intake.rule = lambda _: Says(503)
    assert announcing.job()(Run()) == {"events": 0}
    announcing.bench.intake.rule = lambda _: None

    assert announcing.job()(Run()) == {"events": 1}


def test_versions_from_before_the_first_report_are_no_news(announcing: Announcing) -> None:
    announcing.register("old", 1, ago=7200)
    announcing.register("new", 1, ago=7200)
    announcing.register("new", 2, ago=60)

    assert announcing.job()(Run()) == {"events": 1}

    assert announcing.events[0]["title"] == "Schema of new: version 2"


def test_event_is_bounded_however_much_changed(announcing: Announcing) -> None:
    many = [
        Change("field_added", (f"@all {'x' * 200}", str(number)), None, STRING)
        for number in range(500)
    ]
    announcing.register("s" * 256 + "\n\x1b[2J", 1, *many)

    announcing.job()(Run())

    (event,) = announcing.events
    assert "more changes" in event["text"]


def test_watermark_survives_names_that_are_no_keys(announcing: Announcing) -> None:
    for name in ("a.b", "$x", "", "a\u0000b"[:1]):
        announcing.register(name, 1)

    assert announcing.job()(Run())["events"] == 4
    assert announcing.job()(Run())["events"] == 0


def test_points_while_a_flush_runs_are_kept_for_the_next(bench: Bench) -> None:
    bench.keep("a")
    bench.intake.answer(Says(hang=0.5))
    thread = threading.Thread(target=bench.flush)
    thread.start()
    while not bench.intake.requests:
        time.sleep(0.01)
    start = time.monotonic()

    bench.keep("b")
    sent = bench.flush()

    assert sent == 0
    assert time.monotonic() - start < 0.3
    thread.join()
    assert bench.flush() == 1
    assert bench.arrived == {"a", "b"}


def test_outage_of_datadog_slows_no_webhook(
    mongod_uri: str, database: Db, fake: FakeIntake
) -> None:
    fake.rule = lambda _: Says(hang=30.0)
    with running_service(mongod_uri, database.name) as client:
        metrics = client.service.core.metrics
        sender = outlet(Account(fake.url, KEY, timeout=0.5), 1000, metrics, utc_now)
        job = ReportDatadog(
            metrics=metrics, outlet=sender, common=COMMON, fleet=COMMON, clock=utc_now
        )
        scheduler = Scheduler([Job("report_datadog", 60.0, job)])
        scheduler.start()
        eventually(lambda: fake.requests)

        times = []
        for number in range(40):
            start = time.monotonic()
            assert client.post({"id": number, "type": "contact.created"}).status == 200
            times.append(time.monotonic() - start)
        waiting = not sender.state.ok or not scheduler.stop(0)
        ended = scheduler.stop(5.0)

    assert waiting
    assert ended
    assert sorted(times)[len(times) // 2] < 0.3
    sender.close()


def test_process_that_dies_between_claim_and_event_never_tells_it_twice(
    announcing: Announcing,
) -> None:
    class Killed(Exception):
        pass

    def kill(*_: object) -> None:
        raise Killed

    announcing.register("contact.created", 1)
    job = announcing.job()
    dying = LogSender()
    dying.post = kill  # type: ignore[method-assign, assignment]
    job._outlet = dying
    with pytest.raises(Killed):
        job(Run())

    assert announcing.job()(Run(fence=2)) == {"events": 0}
    assert announcing.events == []


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
