"""Hypothesis strategies for payloads and shapes, with every key that is hard somewhere."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from hypothesis import strategies as st

from consumer.schemas.admission import Candidate, Decision, Quota, decide
from consumer.schemas.json_types import NAMES, OBJECT, join_masks
from consumer.schemas.model import SchemaVersion
from consumer.schemas.objections import NONE, Objections
from consumer.schemas.policy import Guards, SubjectPolicy
from consumer.schemas.shape import Shape, fold

NOW = datetime(2026, 1, 2, 3, 4, 5, 6000, tzinfo=timezone.utc)
OPEN = SubjectPolicy()

# Few, so that payloads meet; among them markers, MongoDB's and our own names, and ids.
KEYS = (
    *("a", "b", "c", "level", "a.b", "$where", "", " ", "0", "12", "é", '"'),
    *("*", "[]", "\\", "\\*", "_id", "_meta", "processed_at", "4711", "4712"),
    *("6f1b9a2e-0d0c-4f57-9a0c-0242ac120002", "6f1b9a2e-0d0c-4f57-9a0c-0242ac120003"),
    *("user5@example.com", "+15551234567"),
)

keys = st.sampled_from(KEYS) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4
)
scalars = st.sampled_from(
    [None, True, False, 0, 12, 2**63, -1, 1.0, 12.5, "", "text", "2026-01-01T00:00:00Z"]
)
values = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(keys, below, max_size=5),
    max_leaves=12,
)
payloads = st.dictionaries(keys, values, max_size=6)

_masks = st.integers(0, sum(NAMES)).map(lambda bits: join_masks(bits, 0))


def _shape(types: int, children: dict[str, Shape]) -> Shape:
    return Shape(types, fold(children) if "*" in children else children)


shapes = st.recursive(
    st.builds(Shape, _masks),
    lambda below: st.builds(
        _shape,
        _masks,
        st.dictionaries(st.sampled_from(["a", "b", "c", "\\*", "[]", "*"]), below, max_size=4),
    ),
    max_leaves=12,
).map(lambda shape: Shape(OBJECT, shape.children))


def judge(
    head: SchemaVersion | None,
    payload: dict[str, Any],
    *,
    policy: SubjectPolicy = OPEN,
    guards: Guards | None = None,
    quota: Quota | None = None,
    objections: Objections = NONE,
) -> Decision:
    """The decision on one payload under `head`."""
    return decide(
        head,
        Candidate("contact.created", payload, "event-1"),
        number=head.number + 1 if head else 1,
        policy=policy,
        guards=guards or Guards(),
        quota=quota or Quota(),
        now=NOW,
        objections=objections,
    )


def learn(
    payloads: Iterable[dict[str, Any]],
    *,
    policy: SubjectPolicy = OPEN,
    guards: Guards | None = None,
) -> SchemaVersion:
    """The head after all payloads came one after the other."""
    head: SchemaVersion | None = None
    for payload in payloads:
        head = judge(head, payload, policy=policy, guards=guards).next or head
    assert head is not None
    return head
