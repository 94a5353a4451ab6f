from __future__ import annotations

import re

import pytest

from config.loading import rows
from config.readme import with_settings
from config.sources import is_secret_variable
from consumer.cli.table import COMMANDS
from consumer.core.metrics_table import TABLE
from tests.support.places import ROOT


def test_ci_runs_exactly_the_test_command_of_the_readme() -> None:
    command = 'python3 -m venv .venv && .venv/bin/pip install -q -e ".[test]" && .venv/bin/pytest'

    assert f"\n{command}\n" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"\n{command}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_readme_names_the_example_settings_that_are_shipped() -> None:
    assert "(config/example.toml)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / "config" / "example.toml").is_file()


def test_the_settings_table_is_the_one_that_the_settings_make() -> None:
    text = (ROOT / ".github" / "SETTINGS.md").read_text(encoding="utf-8")

    assert with_settings(text) == text, "write it anew: python -m config.readme"
    assert all(f"| `{row.name}`" in text for row in rows())


def test_the_readme_is_a_short_front_door() -> None:
    assert (ROOT / "README.md").stat().st_size <= 12_000


@pytest.mark.parametrize("page", ["README.md", ".github/OPERATIONS.md", ".github/SETTINGS.md"])
def test_pages_name_no_setting_metric_command_or_file_that_is_not_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")

    settings = {name for row in rows() for name in row.names}
    named = set(re.findall(r"\bCXONE_[A-Z_]+[A-Z]\b(?![_*])", text))
    named = {name for name in named if not is_secret_variable(name)}
    assert {name.removesuffix("_FILE") for name in named} <= settings
    metrics = set(re.findall(r"`(cxone\.dataaction\.[a-z_.]+)`", text))
    assert metrics <= {row.name for row in TABLE}
    commands = set(re.findall(r"cxone-consumer ([a-z]+)", text))
    assert commands <= set(COMMANDS)
    for file in re.findall(r"\]\(((?:\.\./)?(?:config|tests)/[^)]+)\)", text):
        assert ((ROOT / page).parent / file).is_file(), file
