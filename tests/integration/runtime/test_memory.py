"""The memory allocator of a running service."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.integration.runtime.test_serve import settings
from tests.support.processes import environment, run, serving

Db = Database[dict[str, Any]]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told how")


def environment_of(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def test_a_service_keeps_no_store_of_freed_memory_in_each_thread(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    with serving(tmp_path, settings(mongod_uri, database)) as running:
        environment = environment_of(running.process.pid)

    assert "glibc.malloc.tcache_count=0" in environment["GLIBC_TUNABLES"]


def test_an_allocator_that_somebody_set_is_left_alone(
    mongod_uri: str, database: Db, tmp_path: Path
) -> None:
    theirs = {"GLIBC_TUNABLES": "glibc.malloc.arena_max=3"}

    with serving(tmp_path, settings(mongod_uri, database) | theirs) as running:
        environment = environment_of(running.process.pid)

    assert environment["GLIBC_TUNABLES"] == theirs["GLIBC_TUNABLES"]


def test_wrong_usage_of_serve_is_told_all_the_same(tmp_path: Path) -> None:
    finished = run(["serve", "--no-such-option"], tmp_path)

    assert finished.returncode == 2
    assert b"--no-such-option" in finished.stderr


def test_where_it_cannot_begin_anew_the_program_goes_on(tmp_path: Path) -> None:
    code = (
        "import sys; from consumer.runtime.memory import level_allocator;"
        " sys.executable = '/nowhere/python'; level_allocator(); print('goes on')"
    )

    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        check=False,
    )

    assert (finished.stdout, finished.stderr) == (b"goes on\n", b"")


def test_the_collector_does_not_look_while_a_service_starts(tmp_path: Path) -> None:
    code = (
        "import gc, sys; sys.argv = ['cxone-consumer', 'serve', '--help'];"
        " looks = []; gc.callbacks.append(lambda phase, _: looks.append(phase));"
        " from consumer.__main__ import main; import atexit;"
        " atexit.register(lambda: print(len(looks), file=sys.stderr)); main()"
    )

    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment() | {"GLIBC_TUNABLES": ""},
        capture_output=True,
        check=False,
    )

    assert (finished.returncode, finished.stderr) == (0, b"0\n")
