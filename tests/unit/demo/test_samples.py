"""Samples and payload fixtures are realistic, repeatable, and what they say they are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from consumer.core.errors import Rejected
from consumer.demo.samples.drifts import DRIFTS
from consumer.demo.samples.mishaps import Sample
from consumer.demo.samples.scenario import scenario, traffic
from consumer.ingest.parsing import EventFields, EventParser
from tests.support.places import PAYLOADS

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc)
FILES = sorted(PAYLOADS.rglob("*.json"))
PARSER = EventParser(EventFields(), max_depth=100)


def _clock() -> datetime:
    return NOW


def _scenario(count: int = 200, seed: int = 1) -> list[Sample]:
    return list(scenario(seed, count, _clock))


def _events(event_type: str, count: int = 400) -> list[dict[str, Any]]:
    events = [json.loads(body) for body in traffic(1, count, _clock)]
    return [event for event in events if event["type"] == event_type]


def test_same_seed_and_clock_give_the_same_deliveries() -> None:
    assert _scenario(seed=5) == _scenario(seed=5)
    assert _scenario(seed=5) != _scenario(seed=6)


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 33, 200, 1001])
def test_a_scenario_has_as_many_deliveries_as_asked(count: int) -> None:
    assert len(_scenario(count)) == count


@pytest.mark.parametrize("count", [20, 21, 27, 99, 500])
def test_every_mishap_of_a_scenario_happens(count: int) -> None:
    found = Counter((sample.expect, sample.signature) for sample in _scenario(count))

    assert found == {
        ("processed", "good"): count - 8,
        ("duplicate", "good"): 3,
        ("malformed_json", "good"): 2,
        ("missing_fields", "good"): 1,
        ("signature_invalid", "wrong"): 1,
        ("signature_missing", "missing"): 1,
    }


def test_a_short_scenario_is_good_traffic_only() -> None:
    assert {sample.expect for sample in _scenario(19)} == {"processed"}


def test_deliveries_are_what_they_are_expected_to_be() -> None:
    seen: set[bytes] = set()
    for sample in _scenario(300):
        try:
            PARSER.parse(sample.body)
        except Rejected as error:
            assert sample.expect == error.reason
        else:
            assert sample.expect not in ("malformed_json", "missing_fields")
            assert (sample.body in seen) == (sample.expect == "duplicate")
        seen.add(sample.body)


def test_a_duplicate_follows_its_original_at_a_distance() -> None:
    bodies = [sample.body for sample in _scenario(40)]

    repeats = [index for index, body in enumerate(bodies) if body in bodies[:index]]

    assert len(repeats) == 3
    assert all(index - bodies.index(bodies[index]) >= 8 for index in repeats)


def test_no_two_events_share_an_id() -> None:
    ids = [json.loads(body)["id"] for body in traffic(1, 2000, _clock)]

    assert len(set(ids)) == 2000


def test_times_rise_to_the_clock() -> None:
    times = [json.loads(body)["timestamp"] for body in traffic(1, 300, _clock)]

    assert all(earlier < later for earlier, later in pairwise(times))
    assert times[0] > "2026-05-01T11:"
    assert "2026-05-01T11:59:55" < times[-1] <= "2026-05-01T12:00:00.000Z"


def test_every_drift_is_told_once_where_it_first_shows() -> None:
    notes = [sample.note for sample in _scenario(400)]

    told = Counter(note for note in notes if ": " in note)

    assert told == {f"{drift.event_type}: {drift.note}": 1 for drift in DRIFTS}


@pytest.mark.parametrize(
    ("event_type", "value", "before", "after"),
    [
        ("contact.created", lambda e: type(e["agent"]), type(None), dict),
        ("contact.created", lambda e: bool(e["agent_skills"]), False, True),
        ("contact.created", lambda e: "loyalty" in e["customer"], False, True),
        ("agent.state_changed", lambda e: type(e["current"]["outState"]), type(None), dict),
        ("message.received", lambda e: bool(e["message"]["attachments"]), False, True),
        ("message.received", lambda e: "participants" in e, False, True),
        ("case.updated", lambda e: type(e["case"]["priority"]), int, str),
        ("contact.ended", lambda e: type(e["durations"]["talk"]), int, float),
        ("contact.ended", lambda e: "incontactId" in e, False, True),
        ("disposition.saved", lambda e: "sentiment" in e, False, True),
    ],
)
def test_fields_drift_once_and_stay(
    event_type: str, value: Callable[[dict[str, Any]], object], before: object, after: object
) -> None:
    values = [value(event) for event in _events(event_type)]

    turn = values.index(after)
    assert turn > 0
    assert set(values[:turn]) == {before}
    assert set(values[turn:]) == {after}


def test_invented_people_cannot_be_reached() -> None:
    text = b"\n".join(traffic(1, 500, _clock)).decode()

    assert "-555-01" in text
    assert all(rest.startswith("example.com") for rest in text.split("@")[1:])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_payload_files_are_events_of_their_folder(path: Path) -> None:
    ids, types = ("eventId", "eventType") if "eventId-eventType" in path.parts else ("id", "type")

    event = EventParser(EventFields(ids, types), max_depth=100).parse(path.read_bytes())

    assert event.type == path.parent.name
    assert 700 < path.stat().st_size < 12 * 1024


def test_payload_files_form_series_without_repeated_ids() -> None:
    by_folder = Counter(path.parent for path in FILES)
    events = [json.loads(path.read_bytes()) for path in FILES]
    ids = [event.get("id", event.get("eventId")) for event in events]

    assert len(FILES) >= 16
    assert len(set(ids)) == len(ids)
    for folder, count in by_folder.items():
        numbers = [path.name[:2] for path in sorted(folder.glob("*.json"))]
        assert numbers == [f"{number:02d}" for number in range(1, count + 1)]
