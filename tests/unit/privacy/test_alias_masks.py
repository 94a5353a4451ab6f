"""A mask of one of two fields that an alias joins masks both, wherever payloads are shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.settings import MASK
from consumer.core.paths import from_text
from consumer.privacy.paths import read_paths
from consumer.privacy.rules import AliasPairs, Redaction

PAYLOAD: Any = {
    "id": "1",
    "case": {"owner": {"name": "Ann", "phone": "1"}, "n": 1},
    "contact": {"agent": {"name": "Ann", "phone": "1"}, "n": 2},
}


def masks(*paths: str, aliases: dict[str, str] | None = None, of: str = "t") -> Redaction:
    pairs: AliasPairs = frozenset(
        (from_text(old), from_text(new)) for old, new in (aliases or {}).items()
    )
    return Redaction(
        general=read_paths(paths),
        aliases=lambda subject: pairs if subject in (None, of) else frozenset(),
    )


JOINED = {"case.owner": "contact.agent"}


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("case.owner.name", {"case.owner.name", "contact.agent.name"}),
        ("contact.agent.name", {"case.owner.name", "contact.agent.name"}),
        ("CASE.Owner.Name", {"case.owner.name", "contact.agent.name"}),
        ("case.owner", {"case.owner", "contact.agent"}),
        ("case", {"case", "contact.agent"}),
        ("contact", {"case.owner", "contact"}),
        ("case.*.phone", {"case.owner.phone", "contact.agent.phone"}),
        ("**.owner.phone", {"case.owner.phone", "contact.agent.phone"}),
        ("case.n", {"case.n"}),
        ("id", {"id"}),
    ],
)
def test_both_are_hidden_in_bodies_payloads_and_schemas(path: str, hidden: set[str]) -> None:
    rules = masks(path, aliases=JOINED)
    expected: Any = json.loads(json.dumps(PAYLOAD))
    for text in hidden:
        *above, last = from_text(text)
        holder = expected
        for key in above:
            holder = holder[key]
        holder[last] = MASK

    assert rules.value(PAYLOAD, "t") == expected
    assert json.loads(rules.body(json.dumps(PAYLOAD).encode(), "t").shown) == expected
    assert (
        rules.document({**PAYLOAD, "_meta": {"subject": "t"}}, "t")["contact"]
        == expected["contact"]
    )
    assert all(rules.hides(from_text(text), "t") for text in hidden)
    # Of what is not known everything may be meant, and of another subject only what is said.
    assert rules.value(PAYLOAD) == expected
    assert rules.value(PAYLOAD, "u") == masks(path).value(PAYLOAD, "u")


def test_an_id_is_hidden_where_its_field_has_an_alias_that_is() -> None:
    assert masks("number", aliases={"id": "number"}).event_id("4711", "t") == MASK
    assert masks("number", aliases={"id": "other"}).event_id("4711", "t") == "4711"


def test_aliases_that_ended_and_lead_in_a_circle_come_to_an_end() -> None:
    round_about = {"a": "b.c", "b": "a.x", "d": "a"}
    rules = masks("a.x.c", aliases=round_about)

    assert rules.value({"d": {"x": {"c": 1}}}, "t") == {"d": MASK}


def test_nothing_more_is_hidden_without_aliases() -> None:
    assert masks("case.owner").value(PAYLOAD, "t")["contact"] == PAYLOAD["contact"]
    assert not masks(aliases=JOINED)
