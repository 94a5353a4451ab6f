"""A rejected change is never registered, whatever comes beside it, and nothing else is kept out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.core.paths import from_text, to_text
from consumer.schemas.admission import REJECTED, Decision
from consumer.schemas.evolution import changes
from consumer.schemas.json_types import BITS
from consumer.schemas.model import Change, shape_of
from consumer.schemas.objections import NONE, Objections, RejectedChange, Then
from consumer.schemas.policy import Contract, SubjectPolicy
from tests.support.strategies import judge, learn, payloads

HELD = SubjectPolicy(Contract(on_reader_break="hold"))


def rejecting(*texts: str, then: Then = "store") -> Objections:
    """Rejections of paths; `path:type` of one type alone."""
    split = (text.partition(":") for text in texts)
    made = (RejectedChange(from_text(path), then, BITS.get(name, 0)) for path, _, name in split)
    return Objections(rejected=tuple(made))


def brought(decision: Decision) -> set[str]:
    return {to_text(each.path) for each in decision.next.changes} if decision.next else set()


@pytest.mark.parametrize(
    ("rejected", "payload", "registered"),
    [
        ("b", {"a": 1, "b": {"x": 1}, "c": 1}, {"c"}),
        ("b.x", {"b": {"x": 1, "y": 1}}, {"b", "b.y"}),
        ("a", {"a": "t", "c": 1}, {"c"}),
        ("a", {"a": {"deep": 1}}, set()),
        ("a:string", {"a": "t"}, set()),
        ("a:string", {"a": 1.5}, {"a"}),
        ("a:object", {"a": {"deep": 1}}, set()),
        ("o", {"o": {"known": "t", "new": 1}}, set()),
        ("o.known", {"o": {"known": "t", "new": 1}}, {"o.new"}),
        ("l[]", {"l": ["t"]}, set()),
        ("l[].x", {"l": [{"x": 1, "y": 1}]}, {"l[]", "l[].y"}),
        ("other", {"a": "t"}, {"a"}),
    ],
)
def test_what_is_stored_without_is_left_out_alone(
    rejected: str, payload: dict[str, Any], registered: set[str]
) -> None:
    head = learn([{"a": 1, "o": {"known": 1}, "l": []}])

    decision = judge(head, payload, objections=rejecting(rejected))

    assert brought(decision) == registered
    is_met = rejected != "other" and registered != {"a"}
    assert decision.guard == (REJECTED if is_met else None)


@given(st.lists(payloads, min_size=1, max_size=3), payloads, st.randoms(use_true_random=False))
def test_nothing_of_a_rejected_change_is_registered(
    known: list[dict[str, Any]], payload: dict[str, Any], chance: Any
) -> None:
    head = learn(known)
    free = judge(head, payload)
    would_be = list(free.next.changes) if free.next else []
    some = [each for each in would_be if chance.random() < 0.5]
    rejected = tuple(RejectedChange(each.path, "store") for each in some)

    decision = judge(head, payload, objections=Objections(rejected=rejected))

    now = decision.next or head
    for each in changes(shape_of(head), shape_of(now)):
        assert not any(at.is_about(each) for at in rejected)
    if not some:
        assert decision == free


def test_discarding_wins_over_holding_and_holding_over_storing() -> None:
    head = learn([{"a": 1}])
    both = Objections(
        rejected=(
            *rejecting("b", then="discard").rejected,
            *rejecting("c", then="hold").rejected,
            *rejecting("d").rejected,
        )
    )

    def ends(**payload: int) -> tuple[bool, bool, bool]:
        found = judge(head, payload, objections=both)
        return bool(found.unwanted), bool(found.held), found.guard == REJECTED

    assert ends(b=1, c=1, d=1) == (True, False, False)
    assert ends(c=1, d=1) == (False, True, False)
    assert ends(d=1) == (False, False, True)
    assert ends(a=2) == (False, False, False)


def test_a_contract_holds_what_breaks_a_reader_widening_included() -> None:
    head = learn([{"a": 1}])

    def broken(change: Change) -> list[str]:
        return ["billing"] if change.kind in ("type_widened", "type_conflict") else []

    def held(payload: dict[str, Any], policy: SubjectPolicy, objections: Objections) -> bool:
        return bool(judge(head, payload, policy=policy, objections=objections).held)

    breaking = Objections(broken)
    assert held({"a": 1.5}, HELD, breaking)
    assert held({"a": "t", "new": 1}, HELD, breaking)
    assert not held({"new": 1}, HELD, breaking)
    assert not held({"a": 1.5}, HELD, NONE)
    assert not held({"a": 1.5}, SubjectPolicy(), breaking)
