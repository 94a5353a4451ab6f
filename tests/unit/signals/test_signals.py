"""Signals from one look to the next, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from consumer.core.paths import Path
from consumer.signals.signals import Finding, Signal, settle, told
from tests.support.signals import GONE, RENAMED

THEN = datetime(2026, 1, 5, tzinfo=timezone.utc)
NOW = THEN + timedelta(days=9)
CASE, CONTACT = ("case",), ("contact",)
FOUND = Finding("vanished", CASE, None, NOW, 1.0, GONE)
KNOWN = Signal("vanished", CASE, None, THEN, 0.5, {}, subject="s", last_seen=THEN, is_told=True)


class Masks:
    """Hides the paths that begin with one of these names."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def path(self, path: Path, subject: str | None) -> Path:
        return ("***", *path[1:]) if self.hides(path, subject) else path

    def hides(self, path: Path, subject: str | None) -> bool:
        return path[0] in self._names and subject == "s"


def renamed(
    path: Path = CASE, to: Path = CONTACT, figures: Mapping[str, object] = RENAMED
) -> Signal:
    return Signal("renamed", path, to, THEN, 0.876, {**RENAMED, **figures}, subject="s")


def settled(*known: Signal, found: Finding | None = FOUND) -> list[tuple[Signal, bool]]:
    return list(settle("s", [found] if found else [], known, lambda _: True, NOW))


def test_what_is_found_for_the_first_time_is_open_and_told_to_nobody() -> None:
    fresh = Signal("vanished", CASE, None, NOW, 1.0, GONE, subject="s", last_seen=NOW)

    assert settled() == [(fresh, True)]
    assert (fresh.state, fresh.holds, fresh.is_told) == ("open", True, False)


@pytest.mark.parametrize("state", ["open", "acknowledged", "muted"])
def test_what_goes_on_stays_what_people_said_of_it(state: str) -> None:
    was = replace(KNOWN, state=state)  # type: ignore[arg-type]

    # When it began is what was seen first.
    assert settled(was) == [(replace(was, last_seen=NOW, score=1.0, figures=GONE), False)]


@pytest.mark.parametrize("state", ["open", "acknowledged"])
def test_what_had_ended_and_comes_anew_is_told_again(state: str) -> None:
    was = replace(KNOWN, state=state, ended_at=THEN)  # type: ignore[arg-type]

    assert settled(was) == settled()


def test_what_is_muted_goes_on_where_it_comes_anew() -> None:
    was = replace(KNOWN, state="muted", ended_at=THEN)

    ((now, is_new),) = settled(was)

    assert (now.state, now.since, now.ended_at, is_new) == ("muted", THEN, None, False)


def test_another_kind_or_name_is_another_signal() -> None:
    others = [renamed(), renamed(to=("other",)), replace(KNOWN, path=("queue",))]

    assert settled(*others)[0] == settled()[0]
    assert [each.ended_at for each, _ in settled(*others)[1:]] == [NOW] * 3


def test_what_is_found_no_more_ends_once() -> None:
    ended = replace(KNOWN, ended_at=THEN)

    assert settled(KNOWN, found=None) == [(replace(KNOWN, ended_at=NOW), False)]
    assert settled(ended, found=None) == []
    assert list(settle("s", [], [KNOWN], lambda _: False, NOW)) == []


def test_keys_tell_signals_apart() -> None:
    assert KNOWN.key == {"subject": "s", "kind": "vanished", "path": ["case"]}
    assert renamed().key == {
        "subject": "s",
        "kind": "renamed",
        "path": ["case"],
        "to": ["contact"],
    }


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (
            GONE,
            "not sent for 8 d, its longest gap was 2 h: 1,840 events in its usual hours lack it",
        ),
        (
            {**GONE, "absent_hours": 30, "longest_gap_hours": 1},
            "not sent for 30 h, its longest gap was 1 h: 1,840 events in its usual hours lack it",
        ),
        (
            {**GONE, "longest_gap_hours": 0},
            "not sent for 8 d, it never paused before: 1,840 events in its usual hours lack it",
        ),
    ],
)
def test_a_field_that_vanished_in_words(figures: dict[str, float], words: str) -> None:
    found = told(replace(KNOWN, figures=figures), Masks())

    assert (found.path, found.to, found.sentence) == ("case", None, words)
    assert found.text == f"case: {words}"


@pytest.mark.parametrize(
    ("figures", "often", "alike"),
    [
        ({}, "never together in 3,210 events", "types, places"),
        (
            {"together": 1200, "same_place": False, "names_agree": 0.6},
            "together in 1,200 in 3,210 events",
            "types, names",
        ),
        (
            {"types_agree": False, "names_agree": 0.59},
            "never together in 3,210 events",
            "places",
        ),
    ],
)
def test_a_renaming_in_words(figures: dict[str, object], often: str, alike: str) -> None:
    found = told(renamed(figures=figures), Masks())

    assert found.sentence == (
        "likely contact now (score 0.88): of events 90 % sent case before, now 30 %, and 60 %"
        f" send contact; {often}; alike in {alike}"
    )
    assert found.text.splitlines() == [
        f"case: {found.sentence}",
        "cxone-consumer schema alias s case contact",
    ]


def test_names_are_quoted_for_a_shell_and_are_no_options() -> None:
    found = told(renamed(("a b",), ("-x",)), Masks())

    assert found.alias == "cxone-consumer schema alias -- s 'a b' -x"


@pytest.mark.parametrize(
    ("hidden", "alias", "warning"),
    [
        ((), True, False),
        (("case",), False, True),
        (("contact",), False, False),
        (("case", "contact"), False, False),
    ],
)
def test_hidden_names_are_in_no_command_and_a_name_in_clear_is_told(
    hidden: tuple[str, ...], alias: bool, warning: bool
) -> None:
    found = told(renamed(), Masks(*hidden))

    assert (found.alias is not None, found.warning is not None) == (alias, warning)
    assert not any(name in found.text for name in hidden)
    if warning:
        assert found.warning == 'CXONE_REDACT hides "***", but not contact: name that too'
