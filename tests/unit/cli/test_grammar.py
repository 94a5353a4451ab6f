"""All commands speak one grammar: what an option means in one, it means in every other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from consumer.cli.main import build, command
from consumer.cli.table import ALONE, COMMANDS, FORMER

LEAVES = [
    path
    for path in COMMANDS
    if path in ALONE or not any(other.startswith(f"{path} ") for other in COMMANDS)
]
# What an option is called wherever there is one.
SPELLED = {
    "as_json": ["--json"],
    "yes": ["--yes", "-y"],
    "event_type": ["--type"],
    "dry_run": ["--dry-run"],
    "reveal": ["--reveal"],
    "since": ["--since"],
    "until": ["--until"],
}
NOW_CALLED = {"--subject": "--type", "--event-type": "--type", "--id-prefix": "--id"}


def options(path: str) -> Iterator[Any]:
    yield from (each for each in command(path).params if each.param_type_name == "option")


@pytest.mark.parametrize("path", LEAVES)
def test_options_are_spelled_alike(path: str) -> None:
    found = {each.name: each.opts for each in options(path)}

    assert "as_json" in found
    for name, opts in found.items():
        assert opts == SPELLED.get(name, opts), name
        assert NOW_CALLED.keys().isdisjoint(opts)
        # What --source takes is a source, what --type takes an event type.
        assert "--source" not in opts or name == "source"
        assert "--type" not in opts or name in ("event_type", "subject")


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_helps_for_h_too(path: str) -> None:
    long, short = (CliRunner().invoke(build(), [*path.split(), each]) for each in ("--help", "-h"))

    assert (long.exit_code, short.exit_code) == (0, 0)
    assert long.output == short.output
    assert "Usage" in long.output


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [(path, old, new) for path, former in FORMER.items() for old, new in former.items()],
)
def test_a_former_spelling_goes_on_unlisted(path: str, old: str, new: str) -> None:
    listed = [opt for each in options(path) for opt in each.opts]

    status, said = refusal([*path.split(), f"{old}=x", "--nonsense"])

    assert (old in listed, new in listed) == (False, True)
    assert status == 2
    assert "--nonsense" in said
    assert f"No such option: {old}" not in said


def refusal(arguments: list[str]) -> tuple[int, str]:
    done = CliRunner().invoke(build(), arguments)
    return done.exit_code, done.output


@pytest.mark.parametrize("path", ["dlq list", "dlq retry", "dlq discard", "dlq export"])
@pytest.mark.parametrize("option", ["--reason", "--status"])
def test_a_reason_or_status_that_nobody_knows_is_refused_with_the_list(
    path: str, option: str
) -> None:
    status, said = refusal([*path.split(), option, "malformed"])

    assert status == 2
    text = " ".join(said.replace("│", " ").split())
    known = {
        "--reason": "'malformed' is none of change_rejected, constraint_violation, contract_hold,",
        "--status": "'malformed' is none of discarded, held, parked, pending_inspection,",
    }
    assert known[option] in text


def test_the_shell_completes_commands() -> None:
    done = CliRunner().invoke(
        build(),
        env={
            "_CXONE_CONSUMER_COMPLETE": "complete_bash",
            "COMP_WORDS": "cxone-consumer schema un",
            "COMP_CWORD": "2",
        },
        prog_name="cxone-consumer",
    )

    assert done.output.split() == ["unpin", "unmap", "unalias"]
