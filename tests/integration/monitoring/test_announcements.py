"""New schema versions become events, each once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from consumer.core.clock import utc_now
from consumer.core.errors import StoreUnavailable
from consumer.core.metrics import Metrics
from consumer.core.metrics_table import READERS_BROKEN
from consumer.events.search import EventSearch
from consumer.mongodb.client import open_database
from consumer.monitoring.datadog.announcements import Announcements
from consumer.monitoring.datadog.sink import LogSink
from consumer.privacy.paths import read_paths
from consumer.privacy.rules import Redaction
from consumer.readers.judge import Judge
from consumer.readers.pins import Pin, Pins
from consumer.schemas.json_types import INTEGER, STRING
from consumer.schemas.model import Change, SchemaVersion
from consumer.schemas.registry.registry import SchemaRegistry
from jobs.announce_versions import AnnounceVersions
from jobs.judge_readers import JudgeReaders
from tests.support.datadog import COMMON, Bench, Db, Says
from tests.support.jobs import Run


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
            sink=self.bench.sender,
            common=COMMON,
            masks=Redaction(read_paths(["participants"])),
            clock=lambda: self.now,
            breaches=self.judge().breaches,
        )

    def judge(self) -> Judge:
        database = open_database(self.database.client, self.database.name)
        registry = SchemaRegistry(database["schema_versions"])
        masks = Redaction(read_paths(["participants"]))
        first_event = EventSearch(database["events"]).first
        pins = Pins(database["readers"])
        return Judge(pins, registry, first_event, masks.path, lambda _: ())

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

    assert announcing.job()(Run(fence=1)) == {"events": 1}

    (event,) = announcing.events
    assert event["title"] == "Schema of contact.created: versions 1 to 2"
    assert "1: field_added" in event["text"]
    assert "2: type_conflict wait integer → integer or string" in event["text"]
    assert event["alert_type"] == "warning"
    assert "event_type:contact.created" in event["tags"]


def test_an_event_says_whom_a_version_breaks_in_what_and_by_which_event(
    announcing: Announcing,
) -> None:
    database = open_database(announcing.database.client, announcing.database.name)
    registry = SchemaRegistry(database["schema_versions"])
    pins = Pins(database["readers"])
    registry.admit("t", {"wait": 1, "participants": {"ann@example.com": 1}, "other": 1}, "e1")
    for reader, uses in (("billing", ()), ("crm", ((("other",)),)), ("etl", (("wait",),))):
        pins.put(Pin(pins.view_name(reader, "t"), reader, "t", 1, announcing.now, "Ada", uses))
    announcing.job()(Run(fence=1))
    payload = {"wait": "@all", "participants": {"ann@example.com": "x"}}
    registry.admit("t", payload, "07700 900123")
    meta = {"subject": "t", "key": "07700 900123", "exhibited_version": 2}
    document = {"_id": "5f3a", "processed_at": announcing.now, "_meta": meta}
    announcing.database["events"].insert_one(document)
    registry.admit("t", {"fresh": 1}, "e3")

    announcing.job()(Run(fence=1))
    registry.admit("t", {"fresher": 1}, "e4")
    announcing.job()(Run(fence=1))

    first, event, last = announcing.events
    assert event["title"] == "Schema of t: versions 2 to 3 break billing and 1 more"
    assert event["alert_type"] == "error"
    assert {"reader:billing", "reader:etl"} <= set(event["tags"])
    assert "reader:crm" not in event["tags"]
    lines = event["text"].splitlines()
    assert lines[0] == (
        "2: breaks billing (pinned to 1): type_conflict wait integer → integer or string,"
        " first by event 5f3a"
    )
    assert "2: breaks etl (pinned to 1): type_conflict wait" in event["text"]
    assert "2: type_conflict wait" in event["text"]
    assert not any(each in event["text"] for each in ("ann@", "ann(at)", "07700", "@all"))
    assert (first["alert_type"], last["alert_type"]) == ("info", "info")
    assert "reader" not in last["title"] + last["text"]


def test_each_pin_is_reported_with_the_fields_in_which_it_is_broken(
    announcing: Announcing,
) -> None:
    database = open_database(announcing.database.client, announcing.database.name)
    registry = SchemaRegistry(database["schema_versions"])
    pins = Pins(database["readers"])
    registry.admit("t", {"a": 1, "b": 1, "c": 1}, "e1")
    registry.admit("t", {"a": "t", "b": 1.5}, "e2")
    metrics = Metrics()
    job = JudgeReaders(announcing.judge(), registry.subjects, metrics)

    def pin(reader: str, version: int) -> dict[str, float]:
        view = pins.view_name(reader, "t")
        pins.put(Pin(view, reader, "t", version, announcing.now, "Ada"))
        job(Run())
        return {each.tags["reader"]: each.value for each in metrics.values(READERS_BROKEN)}

    assert pin("billing", 1) == {"billing": 2}
    assert pin("crm", 2) == {"billing": 2, "crm": 0}
    assert pin("billing", 2) == {"billing": 0, "crm": 0}
    assert READERS_BROKEN in metrics.take_gauges_set()


def test_names_below_what_is_masked_are_not_sent(announcing: Announcing) -> None:
    mentions = ("participants", "user5@example.com", "role")
    announcing.register("t", 1, Change("field_added", mentions, None, STRING, "event"))
    announcing.database["reports"].insert_one(
        {"_id": "announced_versions", "told": [], "revision": 1, "fence": 1}
    )

    announcing.job()(Run(fence=1))

    (event,) = announcing.events
    assert "1: field_added participants." in event["text"]
    assert "user5" not in event["text"]
    assert "role" not in event["text"]


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
            announcing.job(newest)(Run(fence=1))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    announcing.job()(Run(fence=1))

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
    assert announcing.job()(Run(fence=1)) == {"events": 0}
    announcing.bench.intake.rule = lambda _: None

    assert announcing.job()(Run(fence=1)) == {"events": 1}


def test_versions_from_before_the_first_report_are_no_news(announcing: Announcing) -> None:
    announcing.register("old", 1, ago=7200)
    announcing.register("new", 1, ago=7200)
    announcing.register("new", 2, ago=60)

    assert announcing.job()(Run(fence=1)) == {"events": 1}

    assert announcing.events[0]["title"] == "Schema of new: version 2"


def test_event_is_bounded_however_much_changed(announcing: Announcing) -> None:
    many = [
        Change("field_added", (f"@all {'x' * 200}", str(number)), None, STRING)
        for number in range(500)
    ]
    announcing.register("s" * 256 + "\n\x1b[2J", 1, *many)

    announcing.job()(Run(fence=1))

    (event,) = announcing.events
    assert "more changes" in event["text"]


def test_watermark_survives_names_that_are_no_keys(announcing: Announcing) -> None:
    for name in ("a.b", "$x", "", "a\u0000b"[:1]):
        announcing.register(name, 1)

    assert announcing.job()(Run(fence=1))["events"] == 4
    assert announcing.job()(Run(fence=1))["events"] == 0


def test_process_that_dies_between_claim_and_event_never_tells_it_twice(
    announcing: Announcing,
) -> None:
    class Killed(Exception):
        pass

    def kill(*_: object) -> None:
        raise Killed

    announcing.register("contact.created", 1)
    job = announcing.job()
    dying = LogSink()
    dying.post = kill  # type: ignore[method-assign, assignment]
    job._sink = dying
    with pytest.raises(Killed):
        job(Run(fence=1))

    assert announcing.job()(Run(fence=2)) == {"events": 0}
    assert announcing.events == []
