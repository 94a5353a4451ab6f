"""Give tests of approvals a process, and the means to build others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pymongo.database import Database

from tests.support.dead_letters import Build, Document, House


@pytest.fixture
def build(mongod_uri: str, database: Database[Document], tmp_path: Path) -> Iterator[Build]:
    rules = tmp_path / "rules.toml"
    rules.write_text(
        '[subjects."*"]\non_new_field = "hold"\non_type_conflict = "hold"\n', encoding="utf-8"
    )
    with ExitStack() as stack:

        def make(**given: str) -> House:
            house = House(mongod_uri, database.name, rules, **given)
            stack.callback(house.shared.close)
            return house

        yield make


@pytest.fixture
def house(build: Build) -> House:
    """With version 1 of a subject and three deliveries that its contract holds."""
    house = build()
    assert house.deliver("first", a=1) == "processed"
    assert [
        house.deliver("one", a=1, agent={"name": "x"}),
        house.deliver("two", a="text"),
        house.deliver("three", a="text", agent={"name": "y", "team": 1}),
    ] == ["held"] * 3
    return house
