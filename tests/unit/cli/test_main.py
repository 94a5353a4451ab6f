"""The commands are listed from a table and imported when they are called: both say the same."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from typer.main import get_group

from consumer.cli.main import build, command
from consumer.cli.table import COMMANDS
from tests.support.processes import run


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_a_command_says_of_itself(name: str) -> None:
    _, text = COMMANDS[name]

    own = inspect.cleandoc(command(name).help)

    assert " ".join(own.split("\n\n")[0].split()) == text


@pytest.mark.parametrize("name", [name for name in COMMANDS if " " not in name])
def test_asking_for_a_command_gives_the_imported_one(name: str) -> None:
    group = get_group(build())
    context = group.make_context("cxone-consumer", [name], resilient_parsing=True)

    found, real, rest = group.resolve_command(context, [name, "--json"])

    assert (found, rest) == (name, ["--json"])
    assert real is not None
    assert [part.name for part in real.params] == [part.name for part in command(name).params]
    assert getattr(real, "commands", {}).keys() == getattr(command(name), "commands", {}).keys()


def test_completion_passes_over_a_command_that_is_not_there() -> None:
    group = get_group(build())
    context = group.make_context("cxone-consumer", [], resilient_parsing=True)

    assert group.resolve_command(context, ["spol"])[:2] == (None, None)


def test_a_path_that_code_page_1252_lacks_is_written_out(tmp_path: Path) -> None:
    done = run(["init", "--file", "Łódź.env"], tmp_path, {"PYTHONIOENCODING": "cp1252"})

    assert done.returncode == 0, done.stderr
    assert r"Wrote \u0141ód\u017a.env" in done.stdout.decode("cp1252")
