"""Fields that the guards keep out, and when they are let in."""

from __future__ import annotations

import pytest

from consumer.core.errors import ChangeRejected
from consumer.core.paths import to_text
from consumer.schemas.objections import Objections, RejectedChange
from consumer.schemas.policy import Guards, SchemaPolicy, subject_policy
from consumer.schemas.registry.registry import SchemaRegistry
from tests.support.registry import Clock, Commands, Versions, stored


def test_versions_of_an_hour_are_bounded_and_the_field_comes_later(versions: Versions) -> None:
    clock = Clock()
    policy = SchemaPolicy(guards=Guards(versions_per_hour=3))
    registry = SchemaRegistry(versions, policy, clock)
    for n in range(3):
        clock.move(minutes=1)
        registry.admit("s", {f"field_{n}": 1})

    guarded = registry.admit("s", {"field_0": 1, "new": 1})
    other = registry.admit("other", {"a": 1})
    clock.move(minutes=57)
    still = registry.admit("s", {"new": 1})
    clock.move(minutes=2)
    later = registry.admit("s", {"new": 1})

    assert (guarded.version, guarded.guard, guarded.untracked) == (3, "versions_per_hour", 1)
    assert guarded.exhibited == 1
    assert len(guarded.gaps) == 1
    assert still.guard == "versions_per_hour"
    assert (other.version, other.guard) == (1, None)
    assert (later.version, later.guard) == (4, None)


def test_a_rejected_change_ends_as_a_person_said_also_beyond_a_bound(versions: Versions) -> None:
    rejected = Objections(rejected=(RejectedChange(("unwanted",), "discard"),))
    policy = SchemaPolicy(guards=Guards(versions_per_hour=1))
    registry = SchemaRegistry(versions, policy, Clock(), objections=lambda *_: rejected)
    registry.admit("s", {"a": 1})

    assert registry.admit("s", {"new": 1}).guard == "versions_per_hour"
    # The bound answers for a moment without a look at MongoDB.
    assert registry.admit("s", {"new": 1}).guard == "versions_per_hour"
    with pytest.raises(ChangeRejected):
        registry.admit("s", {"unwanted": 1})


def test_addresses_that_an_earlier_program_registered_become_a_map_when_the_guard_allows(
    versions: Versions, watched: tuple[Versions, Commands]
) -> None:
    clock = Clock()
    pinned = SchemaPolicy(general=subject_policy(objects=["p"]))
    earlier = SchemaRegistry(versions, pinned, clock)
    for n in range(3):
        earlier.admit("s", {"p": {f"user{n}@example.com": 1}})
    registry = SchemaRegistry(watched[0], SchemaPolicy(guards=Guards(versions_per_hour=3)), clock)
    first = registry.admit("s", {"p": {"user1@example.com": 2}})
    watched[1].names.clear()

    guarded = [registry.admit("s", {"p": {"user1@example.com": n}}) for n in range(5)]
    asked = list(watched[1].names)
    clock.move(minutes=61)
    later = registry.admit("s", {"other": 1})
    last = registry.admit("s", {"p": {"user9@example.com": 1}, "other": 2})

    assert [(each.version, each.guard, each.untracked) for each in (first, *guarded)] == (
        [(3, None, 0)] * 6
    )
    assert asked == []
    assert not any(each.gaps for each in guarded)
    assert (later.version, last.version, last.untracked) == (4, 4, 0)
    assert [to_text(field.path) for field in stored(versions, "s")[-1].live] == [
        *("p", "p.*", "other")
    ]


def test_subjects_are_bounded_and_other_subjects_feel_nothing(versions: Versions) -> None:
    clock = Clock()
    registry = SchemaRegistry(versions, SchemaPolicy(guards=Guards(subjects=2)), clock)
    registry.admit("one", {"a": 1})
    registry.admit("two", {"a": 1})

    kept_out = registry.admit("three", {"a": 1, "b": 1})

    assert (kept_out.version, kept_out.exhibited) == (0, 0)
    assert (kept_out.guard, kept_out.untracked, kept_out.gaps) == ("subjects", 2, [])
    assert registry.admit("two", {"a": 1, "b": 1}).version == 2
    assert (
        SchemaRegistry(versions, SchemaPolicy(guards=Guards(subjects=2)), clock)
        .admit("one", {"a": 1})
        .version
        == 1
    )
    clock.move(seconds=2)
    assert SchemaRegistry(versions, clock=clock).admit("three", {"a": 1}).version == 1


def test_a_subject_name_that_is_too_long_is_kept_out(
    watched: tuple[Versions, Commands],
) -> None:
    versions, commands = watched
    registry = SchemaRegistry(versions)

    admission = registry.admit("x" * 257, {"a": 1})

    assert (admission.version, admission.guard) == (0, "subject_name")
    assert commands.names == []


def test_subjects_and_fields_that_are_kept_out_do_not_cost_a_read_each(
    watched: tuple[Versions, Commands],
) -> None:
    versions, commands = watched
    clock = Clock()
    guards = Guards(subjects=1, paths_per_subject=2, path_bytes=50)
    registry = SchemaRegistry(versions, SchemaPolicy(guards=guards), clock)
    registry.admit("s", {"a": 1})
    registry.admit("s", {"k" * 60: 1})
    registry.admit("stranger", {})
    commands.names.clear()

    for n in range(50):
        registry.admit(f"stranger-{n}", {"a": n})
        assert registry.admit("s", {"k" * 60: n}).guard == "path_bytes"
    assert commands.names == []
    assert registry.admit("s", {"k" * 60: 1, "b": 1}).version == 2
    registry.admit("s", {"c": 1})
    commands.names.clear()
    for n in range(50):
        assert registry.admit("s", {f"c{n}": 1}).guard == "paths_per_subject"
    assert commands.names == []

    clock.move(seconds=2)
    registry.admit("s", {"c": 1})
    assert commands.names == ["find"]


def test_depth_is_told_as_a_guard(versions: Versions) -> None:
    registry = SchemaRegistry(versions, SchemaPolicy(guards=Guards(depth=2)))

    admission = registry.admit("s", {"a": {"b": {"c": {"d": 1}}}})

    assert (admission.version, admission.guard, admission.untracked) == (1, "depth", 1)
