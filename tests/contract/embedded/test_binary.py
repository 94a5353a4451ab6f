"""The choice of a mongod, and the words when none will do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from config.environment import install_command
from consumer.core.errors import SetupError
from consumer.mongodb.embedded.binary import candidates, explain_exit, locate

scripts = pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands in for mongod")


def stand_in(directory: Path, script: str) -> Path:
    directory.mkdir(parents=True)
    path = directory / "mongod"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_no_mongod_at_all_names_the_three_ways_out(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as failure:
        locate(candidates(str(tmp_path), []))
    text = str(failure.value)
    assert install_command("embedded") in text
    assert "MongoDB 5.0 or newer" in text
    assert "MONGODB_URI" in text


@scripts
def test_mongod_on_the_path_comes_before_the_wheel(tmp_path: Path) -> None:
    on_path = stand_in(tmp_path / "path", "echo db version v7.0.1")
    stand_in(tmp_path / "wheel" / "db" / "bin", "echo db version v6.0.5")
    assert locate(candidates(str(on_path.parent), [tmp_path / "wheel"])) == on_path


@scripts
def test_mongod_older_than_5_on_the_path_gives_way_to_the_wheel(tmp_path: Path) -> None:
    old = stand_in(tmp_path / "path", "echo db version v4.4.29")
    wheel = stand_in(tmp_path / "wheel" / "db" / "bin", "echo db version v6.0.5")
    assert locate(candidates(str(old.parent), [tmp_path / "wheel"])) == wheel


@scripts
def test_only_an_old_mongod_says_so(tmp_path: Path) -> None:
    old = stand_in(tmp_path / "path", "echo db version v4.4.29")
    with pytest.raises(SetupError, match=r"version 4\.4, older than 5\.0"):
        locate(candidates(str(old.parent), []))


@scripts
def test_missing_system_libraries_are_named(tmp_path: Path) -> None:
    loader = "mongod: error while loading shared libraries: libcrypto.so.3: cannot open shared"
    broken = stand_in(tmp_path / "path", f"echo '{loader}' >&2; exit 127")
    with pytest.raises(SetupError, match=r"libcrypto\.so\.3 is missing: install libssl3 and libc"):
        locate(candidates(str(broken.parent), []))


def test_illegal_instruction_is_explained_by_the_processor() -> None:
    assert "AVX" in explain_exit(-4, "")
