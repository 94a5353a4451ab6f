"""Changes that a contract holds are registered by an approval alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from consumer.core.errors import ContractHold, SchemaMoved, StoreUnavailable
from consumer.schemas.draft import Draft
from consumer.schemas.policy import Contract, Guards, SchemaPolicy, SubjectPolicy
from consumer.schemas.registry.registry import SchemaRegistry
from tests.support.registry import Document, LossyCollection, Versions, faults, stored


def holding(subject: str = "s") -> SchemaPolicy:
    return SchemaPolicy(subjects={subject: SubjectPolicy(contract=Contract("hold", "hold"))})


def test_a_hold_registers_nothing_and_names_the_changes(versions: Versions) -> None:
    registry = SchemaRegistry(versions, holding())
    registry.admit("s", {"a": 1})

    with pytest.raises(ContractHold, match="approve") as caught:
        registry.admit("s", {"a": "secret value", "b": 1}, "event-7")

    assert "secret value" not in str(caught.value)
    assert [(c["class"], c["path"], c["caused_by"]) for c in caught.value.changes] == [
        ("type_conflict", ["a"], "event-7"),
        ("field_added", ["b"], "event-7"),
    ]
    assert len(stored(versions, "s")) == 1


def test_the_head_is_read_again_before_anything_is_held(versions: Versions) -> None:
    here, there = SchemaRegistry(versions, holding()), SchemaRegistry(versions)
    here.admit("s", {"a": 1})
    there.admit("s", {"a": 1, "b": 1})

    admission = here.admit("s", {"a": 1, "b": 2})

    assert (admission.version, admission.registered) == (2, None)


def test_the_head_is_read_again_before_anything_is_registered(versions: Versions) -> None:
    here, there = SchemaRegistry(versions), SchemaRegistry(versions)
    here.admit("s", {"a": 1})
    there.admit("s", {"b": 1})

    admission = here.admit("s", {"b": 2, "c": 1})

    assert admission.version == 3
    assert faults(versions, "s", [(1, {"a": 1}), (2, {"b": 1}), (3, {"b": 2, "c": 1})]) == []


def test_held_waiters_do_not_hold_their_neighbours(versions: Versions) -> None:
    policy = SchemaPolicy(general=SubjectPolicy(contract=Contract(on_type_conflict="hold")))
    registry = SchemaRegistry(versions, policy)
    registry.admit("s", {"a": 1})
    barrier = threading.Barrier(8)

    def admit(n: int) -> str:
        barrier.wait()
        try:
            registry.admit("s", {"a": "x"} if n % 2 else {"a": 1, f"b{n}": 1})
        except ContractHold:
            return "held"
        return "admitted"

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(admit, range(8)))

    assert ends == ["admitted", "held"] * 4
    assert {f.path for f in stored(versions, "s")[-1].fields} == {
        ("a",),
        ("b0",),
        ("b2",),
        ("b4",),
        ("b6",),
    }


def drafted(registry: SchemaRegistry, payload: Document) -> Draft:
    draft = registry.draft("s", by_hand=True)
    draft.approve(payload, "event-7")
    return draft


def test_an_approval_registers_what_was_held(versions: Versions) -> None:
    registry = SchemaRegistry(versions, holding())
    registry.admit("s", {"a": 1})

    registered = registry.register(drafted(registry, {"a": "x"}))

    assert registered == stored(versions, "s")[-1]
    assert (registered.number, [c.caused_by for c in registered.changes]) == (2, ["event-7"])
    assert registry.admit("s", {"a": "y"}).version == 2


def test_an_approval_of_an_older_head_is_refused(versions: Versions) -> None:
    registry = SchemaRegistry(versions, holding())
    registry.admit("s", {"a": 1})
    draft = drafted(registry, {"a": "x"})
    SchemaRegistry(versions).admit("s", {"z": 1})

    with pytest.raises(SchemaMoved, match='"s" is at version 2, you approved 1: reload'):
        registry.register(draft)

    assert len(stored(versions, "s")) == 2


def test_two_approvals_of_the_same_content_register_it_once(versions: Versions) -> None:
    one, two = SchemaRegistry(versions, holding()), SchemaRegistry(versions, holding())
    one.admit("s", {"a": 1})
    drafts = [drafted(one, {"a": "x"}), drafted(two, {"a": "x"})]

    results = [one.register(drafts[0]), two.register(drafts[1])]

    assert [version.number if version else 0 for version in results] == [2, 2]
    assert len(stored(versions, "s")) == 2


@pytest.mark.parametrize("lost", [["after"], ["before"]])
def test_an_approval_whose_answer_was_lost_is_settled_by_reading(
    versions: Versions, lost: list[str]
) -> None:
    SchemaRegistry(versions).admit("s", {"a": 1})
    lossy: Any = LossyCollection(versions, lost)
    registry = SchemaRegistry(lossy, holding())
    draft = drafted(registry, {"a": "x"})

    if lost == ["before"]:
        with pytest.raises(StoreUnavailable, match="version 2"):
            registry.register(draft)
    registered = registry.register(draft)

    assert registered == stored(versions, "s")[-1]
    assert len(stored(versions, "s")) == 2


def test_a_draft_registers_nothing_by_itself(versions: Versions) -> None:
    registry = SchemaRegistry(versions)

    draft = registry.draft("s")
    draft.deliver({"a": 1})

    assert (draft.at, draft.is_new) == (0, True)
    assert stored(versions, "s") == []
    assert registry.draft("x" * 257).deliver({"a": 1}).guard == "subject_name"


def test_an_approval_does_not_wait_for_the_hour(versions: Versions) -> None:
    policy = SchemaPolicy(guards=Guards(versions_per_hour=1))
    registry = SchemaRegistry(versions, policy)
    registry.admit("s", {"a": 1})

    assert registry.draft("s").deliver({"b": 1}).guard == "versions_per_hour"
    assert registry.register(drafted(registry, {"b": 1})) == stored(versions, "s")[1]
