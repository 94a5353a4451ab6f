"""Fields that go on under another name, and pairs that only look alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from consumer.schemas.model import Field, SchemaVersion
from consumer.signals.renamed import candidates, renamed, went_back, with_field_above
from consumer.signals.statistics import Day, Seen, Together

START = datetime(2026, 1, 5, tzinfo=timezone.utc)
DAY = timedelta(days=1)
BEFORE, SINCE, EVENTS = 20, 4, 1000


def schema(
    old: str = "case", new: str = "contact", types: tuple[str, str] = ("object", "object")
) -> SchemaVersion:
    paths = ((("id",), 1, "string"), (tuple(old.split(".")), 1, types[0]))
    fields = [Field(path, since, {kind: since}) for path, since, kind in paths]
    fields.append(Field(tuple(new.split(".")), 2, {types[1]: 2}))
    above = {field.path[:-1] for field in fields} - {()}
    fields += [Field(path, 1, {"object": 1}) for path in sorted(above)]
    return SchemaVersion("s", 2, tuple(fields), (), START)


def history(
    before: float, old: float, new: float, both: float = 0, pair: tuple[int, int] = (1, 2)
) -> list[Day]:
    """Days with a share of the old field before, then shares of both."""
    days = []
    for number in range(BEFORE + SINCE):
        is_new = number >= BEFORE
        day = Day(START + number * DAY, 2 if is_new else 1, [0] * 12 + [EVENTS] + [0] * 11)
        shares = {0: 1.0, 1: old if is_new else before, 2: new if is_new else 0, 3: 1.0}
        day.fields = {
            position: Seen(round(share * EVENTS), 0, 8, 1 << 12)
            for position, share in shares.items()
            if share
        }
        if is_new:
            counts = (EVENTS, *(round(share * EVENTS) for share in (old, new, both)))
            day.pairs = {pair: Together(*counts)}
        days.append(day)
    return days


def test_a_field_whose_share_went_to_another_was_renamed() -> None:
    days = history(0.9, 0.3, 0.6)

    (found,) = renamed(schema(), days)

    assert candidates(schema(), days) == [(1, 2)]
    assert (found.path, found.to, found.since) == (("case",), ("contact",), START + BEFORE * DAY)
    assert found.figures == {
        "events": SINCE * EVENTS,
        "together": 0,
        "old_share": 0.3,
        "new_share": 0.6,
        "share_before": 0.9,
        "types_agree": True,
        "same_place": True,
        "names_agree": pytest.approx(0.36, abs=0.1),
    }


def test_nobody_need_go_on_with_the_old_one() -> None:
    assert renamed(schema(), history(0.7, 0, 0.7)) != []


@pytest.mark.parametrize(
    ("before", "old", "new", "both"),
    [
        # Sent together, as independent fields are.
        (0.9, 0.3, 0.6, 0.2),
        # More, or less, than the old one was.
        (0.9, 0.3, 0.9, 0),
        (0.9, 0.3, 0.2, 0),
        # The old one is sent as before.
        (0.3, 0.3, 0.6, 0),
    ],
)
def test_other_pairs_were_not(before: float, old: float, new: float, both: float) -> None:
    assert renamed(schema(), history(before, old, new, both)) == []


def test_a_field_whose_share_did_not_fall_is_not_counted_jointly() -> None:
    assert candidates(schema(), history(0.3, 0.3, 0.6)) == []


def test_types_that_differ_are_no_renaming() -> None:
    version = schema(types=("object", "string"))

    assert candidates(version, history(0.9, 0.3, 0.6)) == []
    assert renamed(version, history(0.9, 0.3, 0.6)) == []


def test_an_integer_may_become_a_number_under_another_name() -> None:
    assert renamed(schema(types=("integer", "number")), history(0.9, 0.3, 0.6)) != []


@pytest.mark.parametrize(
    ("old", "new", "is_one"),
    [
        ("a.case", "a.contact", True),
        ("a.queue_name", "b.queueName", True),
        ("a.case", "b.contact", False),
        ("a", "a.b", False),
    ],
)
def test_place_or_name_must_agree(old: str, new: str, is_one: bool) -> None:
    version = schema(old, new)

    assert bool(renamed(version, history(0.9, 0.3, 0.6))) == is_one


def test_pairs_are_counted_in_events_that_sent_what_both_stand_in() -> None:
    version = schema("a.case", "a.contact")

    assert with_field_above(version, [(1, 2)]) == [((1, 2), 3)]
    assert with_field_above(schema(), [(1, 2)]) == [((1, 2), None)]


def test_a_share_that_is_known_for_less_than_two_weeks_says_nothing() -> None:
    days = history(0.9, 0.3, 0.6)[BEFORE - 13 :]

    assert renamed(schema(), days) == []


def test_a_field_that_comes_and_goes_did_not_fall() -> None:
    days = history(0.9, 0.0, 0.9)
    for day in days[3:BEFORE:5]:
        del day.fields[1]

    assert candidates(schema(), days) == []
    assert renamed(schema(), days) == []


def test_a_field_that_pauses_on_the_same_days_of_each_week_may_be_renamed() -> None:
    days = history(0.9, 0.3, 0.6)
    for day in days:
        if day.day.weekday() > 4:
            day.fields.pop(1, None)
            day.fields.pop(2, None)
            if day.pairs:
                day.pairs = {(1, 2): Together(EVENTS)}

    assert [each.to for each in renamed(schema(), days)] == [("contact",)]


def test_each_field_is_named_once_with_the_likeliest() -> None:
    version = schema("queue_id", "queueId", ("string", "string"))
    other = Field(("agent",), 1, {"string": 1})
    version = SchemaVersion("s", 2, (*version.fields, other), (), START)
    days = history(0.9, 0.3, 0.6)
    for day in days:
        if 1 in day.fields:
            day.fields[3] = day.fields[1]
        if day.pairs:
            day.pairs[3, 2] = day.pairs[1, 2]

    assert [(each.path, each.to) for each in renamed(version, days)] == [
        (("queue_id",), ("queueId",))
    ]


def test_pairs_of_many_fields_do_not_hold_up_a_stop() -> None:
    version = schema("queue_id", "queueId", ("string", "string"))
    days = history(0.9, 0.3, 0.6)

    assert candidates(version, days) == [(1, 2)]
    assert candidates(version, days, lambda: True) == []


@pytest.mark.parametrize(
    ("old", "new", "days", "is_back"),
    [
        (0.9, 0, 7, True),
        (0.9, 0.01, 7, True),
        # Too short, or in part.
        (0.9, 0, 6, False),
        (0.6, 0.3, 7, False),
        # Who sent the new one fell silent, and the old one does not come as before.
        (0.3, 0, 7, False),
        (0, 0.9, 7, False),
    ],
)
def test_a_renaming_ends_once_the_old_name_is_back_for_a_week(
    old: float, new: float, days: int, is_back: bool
) -> None:
    known = history(0.9, 0, 0.9)
    (found,) = renamed(schema(), known)
    after = history(0.9, old, new)[-1]

    known += [replace(after, day=known[-1].day + n * DAY) for n in range(1, days + 1)]

    assert went_back(schema(), known, found) == is_back
