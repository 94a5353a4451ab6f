"""What starting the service may import: a heavy module is paid at each start, in time and MB."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest

# Hundreds of milliseconds or tens of megabytes each, and needed by other commands, on the first
# use of a feature, or by tests alone. (`rich` is taken along by structlog wherever it is there.)
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
    "pygal",
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


def test_a_heavy_module_would_be_seen() -> None:
    assert "typer" in imported("consumer.cli.main")
