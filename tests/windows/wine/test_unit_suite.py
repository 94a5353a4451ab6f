"""The unit tests, run by a Windows Python."""

from __future__ import annotations

import re

import pytest

from tests.support.places import ROOT
from tests.windows.wine.machine import Wine

# Left to the slow run: half of the time goes there, and they are alike on every system. What they
# try works on its arguments alone (`consumer/schemas` does no I/O), or is this repository, its
# regular expressions, who imports whom. That every command can be imported is tried in `cli`.
_ALIKE = (
    "tests/unit/core/test_json_repairs.py",
    "tests/unit/schemas",
    "tests/unit/signals/test_simulation.py",
    "tests/unit/test_collections.py",
    "tests/unit/test_floors.py",
    "tests/unit/test_imports.py",
    "tests/unit/test_linear.py",
    "tests/unit/test_references.py",
    "tests/unit/test_waits.py",
)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(
            ("not slow", *(f"--ignore={each}" for each in _ALIKE), "tests/unit"), id="quick"
        ),
        pytest.param(("not slow", *_ALIKE), marks=pytest.mark.slow, id="alike"),
        pytest.param(("slow", "tests/unit"), marks=pytest.mark.slow, id="slow"),
    ],
)
def test_the_unit_tests_pass_on_windows(wine: Wine, words: tuple[str, ...]) -> None:
    assert [each for each in _ALIKE if not (ROOT / each).exists()] == []

    pytest_words = ("-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "-rs", "-m", *words)
    done = wine.run(*pytest_words, cwd=ROOT, seconds=1800)

    said = done.stdout.decode("utf-8", "replace")
    # Skipped ones with their reasons: `pytest -rP` shows it.
    print(said[said.rfind("short test summary") :])
    assert done.returncode == 0, said[-20_000:]
    assert re.search(r"\b[1-9]\d* passed", said)
