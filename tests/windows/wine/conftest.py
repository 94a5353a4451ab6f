"""Give tests a Windows Python under Wine, built once for this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.windows.wine.machine import Wine

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests under Wine out unless they are asked for by their marker: any other `-m`
    takes the place of the one in pyproject.toml, and Wine is not on every machine."""
    here = [item for item in items if HERE in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.wine)
    if "wine" not in config.option.markexpr:
        items[:] = [item for item in items if item not in here]
        config.hook.pytest_deselected(items=here)


@pytest.fixture(scope="session")
def wine(request: pytest.FixtureRequest) -> Iterator[Wine]:
    """A Windows with Python and this project. Tests fail where there is no Wine: who asks for them
    by their marker wants them run."""
    missing = [
        name for name in ("wine", "x86_64-w64-mingw32-gcc", "unzip") if not shutil.which(name)
    ]
    assert not missing, f"not installed: {missing}; apt-get install wine wine64 mingw-w64 unzip"
    assert request.config.cache is not None
    prefix = Path(request.config.cache.mkdir("wine")) / "prefix"
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    built = subprocess.run(
        ["bash", str(HERE / "windows_python.sh"), str(prefix)],
        env={**os.environ, "PATH": search},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    machine = Wine(prefix)
    # With its last program Wine ends, and every service with it.
    staying = machine.start("-c", "import sys; sys.stdin.read()", cwd=prefix)
    yield machine
    # Ends what tests left behind in this prefix, and nothing else; first of all, for whatever is
    # left holds the pipes of the one that stayed.
    subprocess.run(["wineserver", "-k"], env=machine.environment(), timeout=60, check=False)
    staying.communicate(timeout=60)
