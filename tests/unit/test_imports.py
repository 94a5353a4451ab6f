"""Starting the service, and each command, imports what it needs: a heavy module is paid at each
start, in time and MB."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest

# Hundreds of milliseconds or tens of megabytes each, and needed by other commands, on the first
# use of a feature, or by tests alone. (`rich` is taken along by structlog where nobody spares it.)
_HEAVY = (
    "click",
    "datadog_api_client",
    "hypothesis",
    "itsdangerous",
    "jinja2",
    "jsonschema",
    "mongomock",
    "numpy",
    "pkg_resources",
    "pytest",
    "requests",
    "selenium",
    "setuptools",
    "sqlite3",
    "typer",
)
SERVICE = "consumer.runtime.service"
# Modules beyond this are a heavy one that the list above does not name yet.
_MOST = 1050


@cache
def imported(module: str) -> frozenset[str]:
    """The names of all modules in a fresh interpreter after it imported one."""
    code = f"import sys, json, {module}; print(json.dumps(list(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return frozenset(json.loads(finished.stdout))


@pytest.mark.parametrize("name", _HEAVY)
def test_the_service_starts_without(name: str) -> None:
    assert not {module for module in imported(SERVICE) if module.split(".")[0] == name}


def test_nothing_of_the_console_is_imported_with_the_service() -> None:
    mine = {module for module in imported(SERVICE) if "console" in module}

    assert {module for module in mine if module.startswith("consumer.")} == set()


def test_the_service_imports_few_modules() -> None:
    assert len(imported(SERVICE)) <= _MOST


def test_serve_spares_rich_and_it_can_be_imported_afterwards() -> None:
    code = (
        "import sys; from consumer.runtime.memory import spare_rich; spare_rich();"
        "import consumer.cli.serve; assert not {'rich', 'pygments'} & sys.modules.keys();"
        "import rich.console"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_heavy_module_would_be_seen() -> None:
    assert "typer" in imported("consumer.cli.main")


# Arguments of the command line, and what answering them must not import.
_HTTP = ("falcon", "urllib3", "waitress")
_PAGES = ("datadog_api_client", "itsdangerous", "jinja2", "pygal")
_JOBS = ("apscheduler", "prometheus_client", "tenacity")
_DATA = ("bson", "dotenv", "pydantic", "pymongo")
_COMMANDS = {
    "--version": (*_HTTP, *_PAGES, *_JOBS, *_DATA, "msgspec", "rich", "structlog"),
    "--help": (*_HTTP, *_PAGES, *_JOBS, *_DATA, "msgspec", "structlog"),
    "serve --help": (*_PAGES,),
}


@cache
def imported_by(arguments: str) -> frozenset[str]:
    """The names of all modules in a fresh interpreter after the command line ended."""
    code = (
        "import atexit, json, sys\n"
        "from consumer.__main__ import main\n"
        "atexit.register(lambda: print(json.dumps(list(sys.modules)), file=sys.stderr))\n"
        "main()"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, *arguments.split()], capture_output=True, check=True
    )
    return frozenset(json.loads(finished.stderr))


@pytest.mark.parametrize("arguments", _COMMANDS)
def test_a_command_imports_only_what_it_needs(arguments: str) -> None:
    loaded = {module.split(".")[0] for module in imported_by(arguments)}

    assert loaded & set(_COMMANDS[arguments]) == set()


_HELPS = """
import contextlib, io, sys
from consumer.cli.main import run
from consumer.cli.table import COMMANDS
for path in COMMANDS:
    if path not in ("serve", "demo"):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            assert run([*path.split(), "--help"]) == 0
        assert "Usage" in said.getvalue()
        found = sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[1:]))
        assert not found, f"{path}: {found}"
"""


def test_telling_of_a_command_imports_nothing_that_it_works_with() -> None:
    # Not pydantic, which typer itself imports.
    heavy = ("falcon", "waitress", *_PAGES, *_JOBS, "bson", "pymongo")

    done = subprocess.run(
        [sys.executable, "-c", _HELPS, *heavy], check=False, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", ["--version", "--help"])
def test_listing_the_commands_imports_none_of_them(arguments: str) -> None:
    mine = {module for module in imported_by(arguments) if module.startswith("consumer.cli.")}

    assert mine == {f"consumer.cli.{name}" for name in ("context", "main", "table")}
