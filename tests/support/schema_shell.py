"""A terminal for `schema`, and events for the running service beside it."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from consumer.cli.main import run
from consumer.core.clock import utc_now
from consumer.core.paths import from_text
from consumer.readers.pins import Pin, Pins
from tests.support.service import Client

Document = dict[str, Any]
RULES = """
[subjects."*"]
on_type_conflict = "hold"

[subjects."contact.created"]
on_new_field = "hold"
defaults = { "agent.team" = "none", "nowhere" = 1 }

[subjects."evolving"]
on_type_conflict = "evolve"
"""


@dataclass
class Shell:
    """A terminal in a directory with a config file, on the database of a test."""

    capsys: pytest.CaptureFixture[str]
    config: Path
    database: Database[Document]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """Exit status, standard output and standard error of `schema ARGUMENTS`."""
        self.monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = run(["--config", str(self.config), "schema", *arguments])
        out, err = self.capsys.readouterr()
        return status, out, err

    def pin(self, reader: str, subject: str, version: int = 1, *uses: str) -> None:
        """Pin a reader, as `schema pin` does."""
        pins = Pins(self.database["readers"])
        view = pins.view_name(reader, subject)
        paths = tuple(map(from_text, uses))
        pins.put(Pin(view, reader, subject, version, utc_now(), "somebody", paths))

    def json(self, *arguments: str, stdin: bytes = b"", status: int = 0) -> Any:
        found, out, err = self(*arguments, "--json", stdin=stdin)
        assert found == status, out + err
        return json.loads(out)


def event(n: int, subject: str = "contact.created", **fields: object) -> Document:
    return {"id": f"e{n}", "type": subject, **fields}


def post(service: Client, *events: Document) -> list[tuple[int, Any]]:
    answers = [service.post(each) for each in events]
    return [(a.status, a.json.get("schema_version", a.json["status"])) for a in answers]


def hold_three(service: Client) -> None:
    answers = post(
        service,
        event(1, agent={"name": "x"}),
        event(2, agent={"name": "x", "team": "blue"}),
        event(3, agent="x"),
        event(4, agent={"name": "y", "team": "red"}),
    )
    assert [status for status, _ in answers] == [200, 202, 202, 202]
