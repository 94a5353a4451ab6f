"""Build what is shipped, for tests that need the tools of the extra `dev`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

HERE = Path(__file__).parent
_EPOCH = "1700000000"


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Read these only where they are asked for by their marker: the extra `test`, by which all
    others run, has not the tools that they import."""
    asked = config.option.markexpr
    return None if "shipping" in asked and "not shipping" not in asked else True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.shipping)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with an sdist, and the wheel that was built from it."""
    return build(ROOT, tmp_path_factory.mktemp("built"))


def build(source: Path, out: Path, umask: int = 0o022) -> Path:
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH}
    ended = subprocess.run(
        command,
        env=environment,
        umask=umask,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return out
