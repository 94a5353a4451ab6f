"""`schema backfill` as a user sees it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from pymongo.database import Database
from rich.console import Console
from typer.testing import CliRunner

from consumer.cli.schema import backfill as schema_backfill
from consumer.cli.schema.backfill import backfill
from consumer.core.errors import SetupError
from tests.support.backfill import registry, store

Db = Database[dict[str, Any]]
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(
    database: Db, mongod_uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGODB_URI", mongod_uri)
    monkeypatch.setenv("MONGODB_DATABASE", database.name)
    app = typer.Typer()
    app.command()(backfill)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments), standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return int(result.return_value or 0), result.stdout

    return run


def two_versions(database: Db) -> None:
    schemas = registry(database)
    for number in range(7):
        store(database, schemas, str(number), {"a": number}, "contact.created")
    store(database, schemas, "new", {"b": 1, "c": 1}, "contact.created")


def lacking(database: Db) -> int:
    return database["events"].count_documents({"b": {"$exists": False}})


def result_of(text: str) -> dict[str, Any]:
    """The JSON of a command; log lines go elsewhere only in the program itself."""
    found: dict[str, Any] = json.loads(text[text.index("{\n") :])
    return found


def test_dry_run_shows_what_is_behind_and_changes_nothing(database: Db, command: Command) -> None:
    two_versions(database)

    status, shown = command("--dry-run")

    assert status == 0
    assert "contact.created" in shown
    assert lacking(database) == 7


def test_it_fills_what_is_behind_without_waiting_for_quiet(database: Db, command: Command) -> None:
    two_versions(database)

    status, shown = command("--type", "contact.created")

    assert status == 0
    assert "Filled 7 documents" in shown
    assert lacking(database) == 0
    assert "No document is behind." in command("--no-throttle")[1]


def test_a_run_without_a_terminal_says_now_and_then_how_far_it_is(
    database: Db, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_versions(database)
    monkeypatch.setattr(schema_backfill, "_SAY_EVERY", 0.0)
    told = io.StringIO()
    monkeypatch.setattr(schema_backfill, "error_console", lambda: Console(file=told, width=200))

    command("--no-throttle")

    assert "contact.created: 0 remain, " in told.getvalue()
    assert " a second, ends about 2" in told.getvalue()


def test_programs_get_figures_of_what_could_not_be_filled(database: Db, command: Command) -> None:
    two_versions(database)
    database["events"].create_index(
        "b", unique=True, partialFilterExpression={"b": {"$exists": True}}
    )

    status, shown = command("--json", "--no-throttle")

    told = result_of(shown)
    assert status == 0
    (work,) = told["behind"]
    assert (work["documents"], work["lowest"], work["head"], work["fields"]) == (7, 1, 2, 2)
    result = told["result"]
    assert (result["documents"], result["unfilled"], result["failed"]) == (7, 6, 0)
    assert database["dead_letter_queue"].count_documents({}) == 0


def test_programs_get_a_status_that_tells_of_refusals(database: Db, command: Command) -> None:
    two_versions(database)
    database.command("collMod", "events", validator={"a": {"$nin": [1, 2]}})

    status, shown = command("--json", "--no-throttle")

    result = result_of(shown)["result"]
    assert status == 1
    assert (result["documents"], result["failed"], result["remaining"]) == (5, 2, 2)
    (letter,) = database["dead_letter_queue"].find({"reason": "migration_failed"})
    assert letter["documents"] == 2


def test_what_was_left_out_on_purpose_is_filled_when_a_person_asks_for_it(
    database: Db, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXONE_DEFAULTS", "none")
    two_versions(database)
    assert command("--no-throttle")[0] == 0
    assert lacking(database) == 7
    assert database["events"].count_documents({"_meta.unfilled": 2}) == 7
    with pytest.raises(SetupError, match="CXONE_DEFAULTS=none"):
        command("--unfilled")
    monkeypatch.setenv("CXONE_DEFAULTS", "null")
    assert "contact.created" in command("--unfilled", "--dry-run")[1]

    status, shown = command("--unfilled", "contact.created", "--json")

    assert (status, lacking(database)) == (0, 0)
    told = result_of(shown)
    assert told["unfilled"] == {"contact.created": 7}
    assert told["result"]["documents"] == 7
    assert database["audit"].count_documents({}) == 2
    assert command("--unfilled")[1] == "None.\n"


def test_an_unknown_subject_is_an_error_that_says_what_to_do(
    database: Db, command: Command
) -> None:
    two_versions(database)

    with pytest.raises(SetupError, match=r"contact\.created"):
        command("--type", "contact.create")
