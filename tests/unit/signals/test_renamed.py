"""Fields that go on under another name, and pairs that only look alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from consumer.core.paths import ANY_KEY, ERASED, ITEM
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
        # Not around each other, however alike their names are.
        ("case", "case.case", False),
        ("case.case", "case", False),
        # Three of five letters.
        ("a.abcde", "b.abcxy", True),
        ("a.abcde", "b.abxyz", False),
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


def stretch(days: list[Day], before: int, since: int) -> list[Day]:
    """The same with so many days before, and since."""
    first, last = days[0], days[-1]
    made = [replace(first, day=START + n * DAY, fields={**first.fields}) for n in range(before)]
    for number in range(before, before + since):
        day = replace(last, day=START + number * DAY, fields={**last.fields})
        made.append(replace(day, pairs={**last.pairs}))
    return made


@pytest.mark.parametrize(
    ("is_one", "before", "old", "new", "both", "since"),
    [
        # 50 events send the new one; four sampling errors of 500 in 1,000 are 63.2.
        (True, 1, 0.95, 0.05, 0, 1),
        (False, 1, 0.951, 0.049, 0, 1),
        (True, 0.5, 0.426, 0.064, 0, 1),
        (False, 0.5, 0.426, 0.063, 0, 1),
        # The old one fell by that and by 2 %.
        (False, 0.5, 0.427, 0.064, 0, 1),
        # 100 are expected, and 5 % of all.
        (True, 0.1, 0, 0.1, 0, 1),
        (False, 0.099, 0, 0.1, 0, 1),
        (True, 0.05, 0, 0.05, 0, 4),
        (False, 0.049, 0, 0.05, 0, 4),
        # Both together: 2 % of the rarer.
        (True, 0.9, 0.3, 0.606, 0.006, 4),
        (False, 0.9, 0.3, 0.606, 0.007, 4),
        (True, 0.9, 0.606, 0.3, 0.006, 4),
        (False, 0.9, 0.606, 0.3, 0.007, 4),
        # What is lacking, or too much, is a tenth of the new one.
        (True, 1, 0.45, 0.5, 0, 4),
        (False, 1, 0.449, 0.5, 0, 4),
        (True, 0.8, 0.35, 0.5, 0, 4),
        (False, 0.8, 0.351, 0.5, 0, 4),
        # Who sent both counts once.
        (False, 1, 0.45, 0.5, 0.004, 4),
        # A field that always came: four errors of one event at least.
        (True, 1, 0.978, 0.022, 0, 4),
        (False, 1, 0.979, 0.021, 0, 4),
        (True, 1, 0.979, 0.021, 0, 5),
        # Counts of two weeks.
        (True, 0.9, 0.3, 0.6, 0, 14),
    ],
)
def test_bounds_of_a_renaming(
    is_one: bool, before: float, old: float, new: float, both: float, since: int
) -> None:
    days = stretch(history(before, old, new, both), 21, since)

    assert bool(renamed(schema(), days)) == is_one


@pytest.mark.parametrize(("known", "is_one"), [(14, True), (13, False)])
def test_a_share_is_known_after_two_weeks(known: int, is_one: bool) -> None:
    assert bool(renamed(schema(), stretch(history(0.9, 0.3, 0.6), known, 4))) == is_one


@pytest.mark.parametrize(("back", "is_one"), [(28, False), (29, True)])
def test_four_weeks_before_count(back: int, is_one: bool) -> None:
    days = stretch(history(0.9, 0.3, 0.6), 40, 4)
    # On this day the old one did not come, either.
    del days[40 - back].fields[1]

    assert bool(renamed(schema(), days)) == is_one


@pytest.mark.parametrize(("back", "is_one"), [(14, False), (15, True)])
def test_two_weeks_since_then_count(back: int, is_one: bool) -> None:
    days = stretch(history(0.9, 0.3, 0.6), 20, 20)
    days[-back].pairs = {(1, 2): Together(EVENTS, EVENTS, EVENTS, EVENTS)}

    assert bool(renamed(schema(), days)) == is_one


@pytest.mark.parametrize(("since", "is_one"), [(60, True), (61, False)])
def test_a_field_is_new_for_sixty_days(since: int, is_one: bool) -> None:
    assert bool(renamed(schema(), stretch(history(0.9, 0.3, 0.6), 20, since))) == is_one


@pytest.mark.parametrize(("events", "is_one"), [(19, True), (20, False)])
def test_a_day_of_few_events_says_nothing_of_how_steady_a_share_is(
    events: int, is_one: bool
) -> None:
    days = history(0.9, 0.3, 0.6)
    days[5].looked_at = [events] + [0] * 23
    days[5].fields = {0: Seen(events, 0, 8, 1)}

    assert bool(renamed(schema(), days)) == is_one


@pytest.mark.parametrize(("sent", "is_one"), [(50, True), (49, False)])
def test_fifty_events_sent_the_old_one_before(sent: int, is_one: bool) -> None:
    days = history(0.25, 0, 0.25)
    for number, day in enumerate(days[:BEFORE]):
        day.looked_at = [10] + [0] * 23
        day.fields = {0: Seen(10, 0, 8, 1)}
        if number < 10:
            day.fields[1] = Seen(5 if number else sent - 45, 0, 8, 1)

    assert bool(renamed(schema(), days)) == is_one


def with_more(number: int) -> tuple[SchemaVersion, list[Day]]:
    """With the new field so many are new, all alike."""
    version, days = schema(), history(0.9, 0.3, 0.6)
    more = [Field((f"contact{n}",), 2, {"object": 2}) for n in range(number - 1)]
    for day in days[BEFORE:]:
        day.fields |= {4 + n: day.fields[2] for n in range(len(more))}
    known = Field(("always",), 1, {"string": 1})
    return replace(version, fields=(*version.fields, known, *more)), days


@pytest.mark.parametrize(("new", "pairs"), [(40, 40), (41, 40), (200, 40), (201, 0)])
def test_of_many_new_fields_few_are_counted(new: int, pairs: int) -> None:
    version, days = with_more(new)

    found = candidates(version, days)

    assert len(found) == pairs
    assert [old for old, _ in found] == [1] * pairs
    if pairs:
        # The likeliest first: of names alike those that stand before others.
        assert (1, 2) in found


@pytest.mark.parametrize(
    "changed",
    [
        {1: {"retired": 2}},
        {1: {"absorbed": 2}},
        {1: {"path": (ERASED,)}},
        {1: {"since": 2}},
        {2: {"retired": 2}},
        {2: {"absorbed": 2}},
        {2: {"since": 1}},
        {2: {"path": ("case", "contact")}},
        {1: {"path": ("x", "case")}, 2: {"path": ("x", ANY_KEY)}},
        {1: {"path": ("x", ITEM)}, 2: {"path": ("x", "contact")}},
    ],
)
def test_what_is_no_field_any_more_or_none_that_is_new_was_not_renamed(
    changed: dict[int, dict[str, Any]],
) -> None:
    fields = list(schema().fields)
    for position, values in changed.items():
        fields[position] = replace(fields[position], **values)
    # Another one is new, and never came.
    more = Field(("always",), 1, {"string": 1}), Field(("never",), 2, {"string": 2})
    version = replace(schema(), fields=(*fields, *more))

    assert renamed(version, history(0.9, 0.3, 0.6)) == []
    assert candidates(version, history(0.9, 0.3, 0.6)) == []


def test_only_the_topmost_of_what_is_new_is_named() -> None:
    days = history(0.9, 0.3, 0.6)
    version = schema()
    known = Field(("always",), 1, {"string": 1})
    below = Field(("contact", "case"), 2, {"object": 2})
    version = replace(version, fields=(*version.fields, known, below))
    for day in days[BEFORE:]:
        day.fields[4] = day.fields[2]
        day.pairs[1, 4] = day.pairs[1, 2]

    assert [each.to for each in renamed(version, days)] == [("contact",)]
    assert candidates(version, days) == [(1, 2)]


def test_what_was_sent_with_the_old_one_more_often_than_there_were_events_is_another() -> None:
    assert candidates(schema(), history(0.9, 0.5, 0.6)) == []
    assert candidates(schema(), history(0.9, 0.4, 0.6)) == [(1, 2)]


def test_without_days_nothing_is_known() -> None:
    (found,) = renamed(schema(), history(0.9, 0, 0.9))

    assert renamed(schema(), []) == []
    assert candidates(schema(), []) == []
    assert not went_back(schema(), [], found)


def test_types_agree_in_part_where_they_overlap_or_none_is_known() -> None:
    def score(old: dict[str, int], new: dict[str, int]) -> float:
        fields = list(schema().fields)
        fields[1], fields[2] = replace(fields[1], types=old), replace(fields[2], types=new)
        found = renamed(replace(schema(), fields=tuple(fields)), history(0.9, 0.3, 0.6))
        assert all(each.figures["types_agree"] == (each.score > 0.85) for each in found)
        return found[0].score if found else 0.0

    text, both = {"string": 1}, {"string": 1, "boolean": 1}
    # 0.5 + 0.2 of types + 0.15 of the place + 0.15 * 4 / 11 of the name.
    assert (score(text, text), score(both, text), score(text, both)) == (0.9, 0.8, 0.8)
    assert (score({}, text), score(text, {}), score({}, {})) == (0.8, 0.8, 0.9)
    assert score(text, {"boolean": 1}) == 0


@pytest.mark.parametrize("more", [(), (Field(("a",), 1, {}, 2),)])
def test_shares_are_of_the_events_that_send_what_both_stand_in(more: tuple[Field, ...]) -> None:
    version = schema("a.case", "a.contact")
    version = replace(version, fields=(*version.fields, *more))
    days = history(0.45, 0.15, 0.3)
    for day in days:
        day.fields[3] = Seen(EVENTS // 2, 0, 8, 1 << 12)
        if day.pairs:
            day.pairs = {(1, 2): Together(EVENTS // 2, 150, 300)}

    (found,) = renamed(version, days)

    assert (found.figures["share_before"], found.figures["old_share"]) == (0.9, 0.3)
    assert candidates(version, days) == [(1, 2)]
    assert with_field_above(version, [(1, 2)]) == [((1, 2), 3)]
    week = stretch(days[:BEFORE], BEFORE, 8)
    for day in week[BEFORE:]:
        day.version = 2
    assert went_back(version, week, found)
    for day in week[BEFORE:]:
        day.fields[1] = Seen(EVENTS // 4, 0, 8, 1 << 12)
    assert not went_back(version, week, found)


def test_a_share_that_was_never_steady_may_be_off_by_a_quarter() -> None:
    def is_one(old: float, new: float) -> bool:
        days = stretch(history(0.9, old, new), 21, 4)
        for number, day in enumerate(days[:21]):
            # By weeks: the share of each day of the week is 0.9 as well.
            day.fields[1] = Seen((800, 900, 1000)[number // 7], 0, 8, 1 << 12)
        return bool(renamed(schema(), days))

    assert is_one(0.15, 0.6)
    assert not is_one(0.149, 0.6)
    # It fell by as much as it was ever off, as well: 2 %, four errors and 0.2 of the events.
    assert is_one(0.66, 0.3)
    assert not is_one(0.664, 0.3)


@pytest.mark.parametrize(("sent", "is_one"), [(840, True), (836, False), (940, True), (960, False)])
def test_what_is_off_by_chance_is_steady(sent: int, is_one: bool) -> None:
    days = stretch(history(0.9, 0.85, 0.05), 21, 4)
    # One of three days of the week, within four errors of their mean or not.
    days[5].fields[1] = Seen(sent, 0, 8, 1 << 12)

    assert bool(renamed(schema(), days)) == is_one


@pytest.mark.parametrize(("events", "is_one"), [(20, True), (19, False)])
def test_a_day_of_the_week_is_known_from_two(events: int, is_one: bool) -> None:
    days = stretch(history(0.9, 0.3, 0.6), 14, 4)
    for number, day in enumerate(days[:14]):
        if day.day.weekday() > 4:
            del day.fields[1]
        if number == 6:
            day.looked_at = [events] + [0] * 23

    assert bool(renamed(schema(), days)) == is_one


def test_figures_and_score_are_rounded() -> None:
    days = stretch(history(0.9, 0.3, 0.6), 21, 3)
    for day in days:
        day.looked_at = [1003] + [0] * 23
        day.pairs = {(1, 2): Together(1003, 303, 597)} if day.pairs else {}
    (found,) = renamed(schema(), days)
    shares = [found.figures[name] for name in ("share_before", "old_share", "new_share")]
    (off,) = renamed(schema(), history(0.9, 0.3, 0.55))

    assert shares == [0.8973, 0.3021, 0.5952]
    assert found.figures["names_agree"] == 0.36
    # 200 are lacking of 2,200.
    assert (found.score, off.score) == (0.9, 0.82)


def test_a_day_on_which_the_new_one_was_known_already_says_nothing_of_before() -> None:
    days = history(0.9, 0.3, 0.6)
    days[BEFORE - 1].version = 2
    del days[BEFORE - 1].fields[1]

    assert renamed(schema(), days) != []


def test_a_field_fell_since_the_day_on_which_the_new_one_came() -> None:
    assert candidates(schema(), stretch(history(0.9, 0.8, 0.1), 20, 1)) == [(1, 2)]


def test_a_new_field_that_comes_no_more_is_not_counted() -> None:
    days = stretch(history(0.9, 0.3, 0.6), 20, 20)
    for day in days[-14:]:
        del day.fields[2]
    gone = candidates(schema(), days)
    days[-3].fields[2] = days[21].fields[2]

    assert (gone, candidates(schema(), days)) == ([], [(1, 2)])


def test_the_likeliest_come_first_and_each_field_once() -> None:
    version, days = with_more(2)
    likely = replace(version.fields[4], path=("cases",))
    version = replace(version, fields=(*version.fields[:4], likely))
    for day in days[BEFORE:]:
        day.pairs[1, 4] = day.pairs[1, 2]

    assert candidates(version, days) == [(1, 4), (1, 2)]
    assert [each.to for each in renamed(version, days)] == [("cases",)]
    # A pair that is not counted yet is no reason to stop.
    for day in days[BEFORE:]:
        del day.pairs[1, 4]
    assert [each.to for each in renamed(version, days)] == [("contact",)]


def test_days_on_which_both_must_have_come_are_not_made_up_for_by_others() -> None:
    days = history(0.9, 0.3, 0.3)
    for day in days[-2:]:
        day.fields[1], day.fields[2] = (Seen(sent, 0, 8, 1 << 12) for sent in (700, 600))

    assert candidates(schema(), days) == []


def test_counts_of_no_event_say_nothing() -> None:
    days = history(0.9, 0.3, 0.6)
    for day in days:
        day.pairs = {(1, 2): Together()} if day.pairs else {}

    assert renamed(schema(), days) == []


@pytest.mark.parametrize(
    ("is_back", "before", "old", "new", "since"),
    [
        # 2 % below the share before, and four sampling errors.
        (True, 0.9, 0.868, 0, 9),
        (False, 0.9, 0.867, 0, 9),
        # The new one still comes beside 2 % of it.
        (True, 0.9, 0.9, 0.018, 9),
        (False, 0.9, 0.9, 0.019, 9),
        # Not within the first week.
        (True, 0.9, 0.9, 0, 7),
        (False, 0.9, 0.9, 0, 6),
    ],
)
def test_bounds_of_a_renaming_that_was_taken_back(
    is_back: bool, before: float, old: float, new: float, since: int
) -> None:
    (found,) = renamed(schema(), history(before, 0, before))
    days = stretch(history(before, old, new), 20, 10)
    found = replace(found, since=days[-1].day - since * DAY)

    assert went_back(schema(), days, found) == is_back
    for gone in ({"path": ("gone",)}, {"to": ("gone",)}):
        assert not went_back(schema(), days, replace(found, **gone))  # type: ignore[arg-type]


@pytest.mark.parametrize(("events", "is_back"), [(15, True), (14, False)])
def test_a_hundred_events_tell_that_a_name_is_back(events: int, is_back: bool) -> None:
    (found,) = renamed(schema(), history(1, 0, 1))
    days = stretch(history(1, 1, 0), 20, 10)
    for day in days:
        day.looked_at = [events] + [0] * 23
        day.fields = {0: Seen(events, 0, 8, 1), 1: Seen(events, 0, 8, 1)}

    assert went_back(schema(), days, replace(found, since=days[0].day)) == is_back
