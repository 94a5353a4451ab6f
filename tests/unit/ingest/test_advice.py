"""An id or type that stands elsewhere is told to whoever can change the settings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from consumer.core.delivery import Headers
from consumer.core.errors import MissingFields
from consumer.ingest.parsing import EventFields, EventParser

Payload = dict[str, Any]


def refused(fields: EventFields, payload: Payload, source: str = "main") -> MissingFields:
    parser = EventParser(fields, 100, source)
    with pytest.raises(MissingFields) as caught:
        parser.parse(json.dumps(payload).encode(), headers=Headers({}))
    return caught.value


@pytest.mark.parametrize(
    ("fields", "payload", "advice"),
    [
        (
            EventFields(),
            {"eventId": "secret 1", "eventType": "secret 2"},
            "CXONE_ID_FIELD=id finds none, but eventId is there;"
            " CXONE_TYPE_FIELD=type finds none, but eventType is there",
        ),
        (EventFields(), {"id": 1, "event_type": 7}, "CXONE_TYPE_FIELD=type finds none, but"
         " event_type is there"),
        (
            EventFields(id="data.case.id"),
            {"data": {"case": {"id": 5}}, "type": "t", "eventId": 3},
            "CXONE_ID_FIELD=data.case.id is one key with dots, but /data/case/id is there",
        ),
        (EventFields(id="eventId"), {"id": 5, "type": "t"}, "CXONE_ID_FIELD=eventId finds none, but"
         " id is there"),
        (EventFields(id=("a", "b.c")), {"a": 1, "b": {"c": 2}, "type": "t"},
         "CXONE_ID_FIELD=b.c is one key with dots, but /b/c is there"),
        (EventFields(id="header:X-Id"), {"type": "t"}, "there was no header X-Id"),
    ],
)  # fmt: skip
def test_the_place_is_told_and_no_value(fields: EventFields, payload: Payload, advice: str) -> None:
    error = refused(fields, payload)

    assert error.explained == f"{error}; {advice}"
    assert "secret" not in error.explained


@pytest.mark.parametrize(
    "payload", [{}, {"eventId": None, "eventType": []}, {"eventId": "", "other": 1}]
)
def test_nothing_is_told_where_nothing_is_known(payload: Payload) -> None:
    error = refused(EventFields(), payload)

    assert error.explained == str(error) == "Missing required CXone fields: id, type"


def test_a_source_s_own_keys_are_named() -> None:
    error = refused(EventFields(), {"id": 1, "eventType": "t"}, "voice")

    assert "sources.voice.type=type finds none, but eventType is there" in error.explained
