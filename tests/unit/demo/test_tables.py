"""The demo's tables fit the terminal of a newcomer: 80 columns."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from consumer.cli import demo_tables
from consumer.core.clock import utc_now
from consumer.core.paths import ITEM
from consumer.demo.play import Answered, Stored
from consumer.demo.samples.mishaps import Sample
from consumer.schemas.json_types import INTEGER, STRING
from consumer.schemas.model import Change, SchemaVersion

PATH = ("message", "attachments", ITEM, "fileName")


def test_what_changed_breaks_no_name_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    change = Change("type_conflict", PATH, INTEGER, INTEGER | STRING)
    versions = [SchemaVersion("agent.state_changed", n, (), (change,), utc_now()) for n in (1, 2)]
    out = io.StringIO()
    monkeypatch.setattr(demo_tables, "console", lambda: Console(file=out, width=80))

    demo_tables.show(
        [Answered(Sample(b"", "", "good", "processed"), 200, "processed", 0.001)],
        Stored({}, [], {"agent.state_changed": versions}, None),
    )

    text = out.getvalue()
    names = ("agent.state_changed, version 2", "message.attachments[].fileName", "type_conflict")
    assert all(name in text for name in names), text
    assert "integer | string" in text
    assert max(map(len, text.splitlines())) <= 80
