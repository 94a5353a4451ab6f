"""Changes are read on narrow terminals, wide ones and in files."""

from __future__ import annotations

import io
from datetime import datetime, timezone

import pytest
from rich.console import Console

from consumer.cli.schema.diff import print_changes, print_steps
from consumer.schemas.json_types import INTEGER, STRING
from consumer.schemas.model import Change
from consumer.schemas.registry.versions import VersionChanges

CAUSES = ("36e2f04e-7dc7-422e-845d-dd254e48b720", "66531daf-38d9-431f-9861-0c9f2c354a1b")
CHANGES = (
    Change("type_widened", ("agent_skills", "[]", "level"), 0, INTEGER, CAUSES[0]),
    Change("type_conflict", ("customer", "loyalty"), INTEGER, INTEGER | STRING, CAUSES[0]),
    Change("field_added", ("customer", "tier"), None, STRING, CAUSES[1]),
)
STEPS = [
    VersionChanges("contact.created", 2, datetime(2026, 1, 2, tzinfo=timezone.utc), CHANGES[:2]),
    VersionChanges("contact.created", 3, datetime(2026, 1, 3, tzinfo=timezone.utc), CHANGES[2:]),
]
WORDS = (*CAUSES, "type_widened", "type_conflict", "agent_skills[].level", "integer | string")


def lines(width: int, *, steps: bool) -> list[str]:
    out = Console(file=io.StringIO(), width=width)
    if steps:
        print_steps(out, STEPS, "contact.created, version 1 to 3")
    else:
        print_changes(out, CHANGES, "Would become version 2")
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue().splitlines()


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("width", [80, 120, 1000])
def test_no_word_is_folded_at_any_usual_width(width: int, steps: bool) -> None:
    found = lines(width, steps=steps)

    assert max(map(len, found)) <= width
    for word in WORDS:
        assert any(word in line for line in found)


def test_in_a_file_each_change_is_one_line_with_its_version_cause_and_time() -> None:
    (line,) = [line for line in lines(1000, steps=True) if "customer.tier" in line]

    assert "field_added" in line
    assert CAUSES[1] in line
    assert "2026-01-03" in line
    assert " 3 " in line


def test_on_a_narrow_terminal_a_cause_is_told_once_for_its_changes() -> None:
    found = lines(80, steps=True)

    assert sum(CAUSES[0] in line for line in found) == 1
    assert [line for line in found if line.startswith("version")] == [
        "version 2, 2026-01-02 00:00:00Z",
        "version 3, 2026-01-03 00:00:00Z",
    ]
