"""A data directory has one owner."""

from __future__ import annotations

import stat
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from consumer.core.data_dir import DataDirectory
from consumer.core.errors import SetupError

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=timezone.utc)

OWNER = """
import sys
from pathlib import Path
from consumer.core.data_dir import DataDirectory
with DataDirectory(Path(sys.argv[1])):
    print("owned", flush=True)
    sys.stdin.read()
"""


def owned(path: Path) -> DataDirectory:
    return DataDirectory(path, clock=lambda: NOON)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_directory_is_created_for_its_owner_only(tmp_path: Path) -> None:
    with owned(tmp_path / "a" / "data") as directory:
        assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700


def test_second_owner_is_told_who_owns_it_since_when_and_what_to_do(tmp_path: Path) -> None:
    with (
        owned(tmp_path) as first,
        pytest.raises(SetupError) as refusal,
        owned(tmp_path),
    ):
        pass
    text = str(refusal.value)
    assert str(first.path) in text
    assert "(started 2026-01-02 12:00:00+00:00)" in text
    assert "CXONE_DATA_DIR" in text


def test_refused_owner_leaves_the_lock_and_the_name_of_the_first(tmp_path: Path) -> None:
    with owned(tmp_path):
        second = owned(tmp_path)
        with pytest.raises(SetupError):
            second.acquire()
        second.release()
        with pytest.raises(SetupError, match="in use by process"):
            owned(tmp_path).acquire()


def test_released_directory_can_be_owned_again(tmp_path: Path) -> None:
    directory = owned(tmp_path)
    with directory:
        pass
    directory.release()
    with owned(tmp_path):
        pass


def test_unreadable_owner_file_still_refuses(tmp_path: Path) -> None:
    with owned(tmp_path):
        (tmp_path / "owner.json").write_text('{"pid": null}', encoding="utf-8")
        with pytest.raises(SetupError, match="in use by another process"):
            owned(tmp_path).acquire()


def test_path_that_cannot_be_a_directory_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SetupError, match=r"cannot be used .*CXONE_DATA_DIR"):
        owned(tmp_path / "file" / "data").acquire()


def test_killed_owner_no_longer_owns(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(SetupError, match=f"process {process.pid} "):
            owned(tmp_path).acquire()
        process.kill()
        process.wait()
    with owned(tmp_path):
        pass
