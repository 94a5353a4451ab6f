"""The unit tests, run by a Windows Python."""

from __future__ import annotations

import re

import pytest

from tests.support.places import ROOT
from tests.windows.wine.machine import Wine


@pytest.mark.parametrize("which", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_the_unit_tests_pass_on_windows(wine: Wine, which: str) -> None:
    words = ("-m", "pytest", "-p", "no:cacheprovider", "-rs", "-m", which, "tests/unit")
    done = wine.run(*words, cwd=ROOT, seconds=900)

    said = done.stdout.decode("utf-8", "replace")
    # Skipped ones with their reasons: `pytest -rP` shows it.
    print(said[said.rfind("short test summary") :])
    assert done.returncode == 0, said[-20_000:]
    assert re.search(r"\b[1-9]\d* passed", said)
