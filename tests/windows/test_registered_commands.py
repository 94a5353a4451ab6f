"""Start the service as Windows does: by the registered command, and by that of old releases."""

from __future__ import annotations

import os
import runpy
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from consumer.os_service import windows_main
from consumer.os_service.layout import WindowsLayout
from tests.windows.machine import Windows

ROOT = Path(__file__).parents[2]

# Runs `python -m consumer` as on Windows; nothing may import for another platform what it needs.
_AS_ON_WINDOWS = """
import runpy, sys
import consumer.os_service.windows_main
sys.platform, sys.argv[1:] = "win32", {words}
try:
    runpy.run_module("consumer", run_name="__main__")
except SystemExit as ended:
    print(ended.code, "typer" in sys.modules)
"""


def test_the_registered_command_reaches_the_host_without_the_command_line(tmp_path: Path) -> None:
    layout = WindowsLayout(tmp_path / "registered here")
    line = windows_main.command_line(layout, tmp_path / "settings.env", embedded=False)
    isolated, module, package, *words = shlex.split(line)
    assert (isolated, module, package) == ("-I", "-m", "consumer")

    done = subprocess.run(
        [sys.executable, "-I", "-c", _AS_ON_WINDOWS.format(words=words)],
        # A service may have another one than whoever installed it.
        env={**os.environ, "PROGRAMDATA": str(tmp_path / "of the service")},
        capture_output=True,
        text=True,
        check=True,
    )

    # There is no pywin32 here: this is said in the log, where the host was reached.
    assert done.stdout.split() == ["1", "False"]
    assert "No module named 'servicemanager'" in layout.log.read_text(encoding="utf-8")
    assert not (tmp_path / "of the service").exists()


def test_a_service_that_was_registered_without_its_folder_uses_that_of_its_process(
    windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROGRAMDATA", str(tmp_path))

    assert windows_main.main(["--settings"]) == 1

    log = (tmp_path / "cxone-consumer" / "logs" / "service.log").read_text(encoding="utf-8")
    assert "could not be hosted" in log


_AT_THE_DISPATCHER = """
import sys
sys.path.insert(0, {pywin32!r})
from tests.windows.fakes import modules
from tests.windows.machine import Windows
machine = Windows()
sys.modules.update(modules(machine))
machine.service_main = lambda name: print(
    machine.hosted.__name__, sorted({{"falcon", "pydantic", "pymongo"}} & sys.modules.keys())
)
from consumer.os_service.windows_main import main
main(["--root", {root!r}, "--settings", "settings.env"])
"""


def test_windows_hears_of_the_process_before_most_of_it_is_imported(
    pywin32_code: Path, tmp_path: Path
) -> None:
    code = _AT_THE_DISPATCHER.format(pywin32=str(pywin32_code), root=str(tmp_path))

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "ConsumerService []"


def test_elsewhere_there_is_no_such_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "consumer", windows_main.COMMAND],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "No such command" in done.stderr


def test_a_service_that_was_registered_before_the_command_still_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosted: list[Sequence[str]] = []

    def main() -> int:
        hosted.append(sys.argv[1:])
        return 0

    # By name: other tests have it imported anew.
    monkeypatch.setattr("consumer.os_service.windows_main.main", main)
    monkeypatch.setattr(sys, "argv", ["windows_main.py", "--settings", r"C:\settings.env"])

    with pytest.raises(SystemExit) as ended:
        runpy.run_module("consumer.service.windows_main", run_name="__main__")

    assert ended.value.code == 0
    assert hosted == [["--settings", r"C:\settings.env"]]
