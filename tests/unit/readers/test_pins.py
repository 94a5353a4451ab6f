"""Pins without a database: names of readers and views."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.readers.pins import check_reader, view_name

SAFE = set(string.ascii_letters + string.digits + "_.-%~")


@pytest.mark.parametrize(
    ("subject", "view"),
    [
        ("contact.created", "billing.contact.created"),
        ("Ärger/a b$", "billing.%C3%84rger%2Fa%20b%24"),
        ("100%~", "billing.100%25%7E"),
        (".a", "billing.%2Ea"),
        ("a.", "billing.a%2E"),
        ("a..b", "billing.a.%2Eb"),
        ("...", "billing.%2E%2E%2E"),
        ("a.system.b", "billing.a.%73%79%73%74%65%6D.b"),
        ("system.views", "billing.%73%79%73%74%65%6D.views"),
        ("ecosystem.b", "billing.ecosystem.b"),
        ("system", "billing.system"),
    ],
)
def test_a_view_is_named_for_its_reader_and_subject(subject: str, view: str) -> None:
    assert view_name("cxone_events", "billing", subject) == view


@given(st.lists(st.text(min_size=1, max_size=80), min_size=2, max_size=2, unique=True))
def test_names_of_views_differ_and_are_names_that_mongodb_takes(subjects: list[str]) -> None:
    names = {view_name("d" * 63, "r" * 40, subject) for subject in subjects}

    assert len(names) == 2
    for name in names:
        assert set(name) <= SAFE
        assert len(f"{'d' * 63}.{name}") <= 200
        assert ".." not in name
        assert ".system." not in name
        assert not name.endswith(".")


def test_a_long_name_is_cut_and_ends_in_a_digest() -> None:
    one, other = (view_name("cxone_events", "billing", "x" * 300 + end) for end in "ab")

    assert len(f"cxone_events.{one}") == 200
    assert one[:-12] == other[:-12] == f"billing.{'x' * 166}~"
    assert one != other
    most = 200 - len("cxone_events.billing.")
    whole = view_name("cxone_events", "billing", "x" * most)
    assert whole == f"billing.{'x' * most}"


@pytest.mark.parametrize("name", ["a", "billing", "b1-2_c", "a" * 40])
def test_names_of_readers(name: str) -> None:
    check_reader(name)


@pytest.mark.parametrize("name", ["", "1a", "Billing", "a.b", "system", "a" * 41, "a\n", "ä"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="reader's name"):
        check_reader(name)
