from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_ci_runs_exactly_the_test_command_of_the_readme() -> None:
    command = 'python3 -m venv .venv && .venv/bin/pip install -q -e ".[test]" && .venv/bin/pytest'

    assert f"\n{command}\n" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"\n{command}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_readme_names_the_example_settings_that_are_shipped() -> None:
    assert "(config/example.toml)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / "config" / "example.toml").is_file()
