"""A start on Windows that takes long, for its mongod does not come up."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.process import free_port
from tests.support.service import SECRET, eventually
from tests.windows.wine.machine import Terminal, Wine

# Says its version, and then nothing.
_SLOW = """
#include <windows.h>
#include <stdio.h>
int main(int count, char **words) {
    if (count == 2) return puts("db version v7.0.0") < 0;
    Sleep(120000);
    return 0;
}
"""


@pytest.fixture(autouse=True)
def slow_mongod(wine: Wine, tmp_path: Path) -> Iterator[None]:
    (tmp_path / "slow.c").write_text(_SLOW)
    # Windows itself is on the PATH of every process.
    binary = wine.drive / "windows" / "mongod.exe"
    command = ["x86_64-w64-mingw32-gcc", str(tmp_path / "slow.c"), "-o", str(binary)]
    subprocess.run(command, check=True, timeout=60)
    yield
    binary.unlink()


def test_ctrl_c_ends_a_start_that_waits_for_mongodb(wine: Wine, tmp_path: Path) -> None:
    words = ("serve", "--embedded", "--data-dir", "data", "--listen", f"127.0.0.1:{free_port()}")
    secret = {"CXONE_SHARED_SECRET": SECRET}
    terminal = Terminal(wine, "-m", "consumer", *words, cwd=tmp_path, settings=secret)
    try:
        # Written just before it is started.
        eventually((tmp_path / "data" / "mongodb.port").exists, timeout=180)
        terminal.type("\x03")
        # Before the minute is over in which MongoDB may come up.
        status = terminal.wait(40)
    finally:
        terminal.close()

    assert status == 130, terminal.screen
