"""Give tests a Windows whose pywin32 is half real: its Python is, its C is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.windows.fakes import modules
from tests.windows.machine import Windows
from tests.windows.wheel import pywin32

_THEIRS = ("win32serviceutil", "win32evtlogutil", "win32con", "winerror")
_OURS = ("consumer.os_service.windows_", "consumer.service.", "consumer.cli.service.windows")


@pytest.fixture(scope="session")
def pywin32_code(request: pytest.FixtureRequest) -> Path:
    assert request.config.cache is not None
    return pywin32(Path(request.config.cache.mkdir("wheels")))


@pytest.fixture
def windows(pywin32_code: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Windows]:
    """A machine of this test alone; our modules that need pywin32 are imported anew on it."""
    machine = Windows()
    _forget()
    monkeypatch.syspath_prepend(str(pywin32_code))
    for name, module in modules(machine).items():
        monkeypatch.setitem(sys.modules, name, module)
    yield machine
    _forget()


def _forget() -> None:
    """Have the modules imported again that took what they need from another test's machine."""
    for name in list(sys.modules):
        if name in _THEIRS or name.startswith(_OURS):
            del sys.modules[name]
            package, _, last = name.rpartition(".")
            if package:
                # `from package import module` would find it there.
                vars(sys.modules[package]).pop(last, None)
