"""Wheel and sdist: whole, built twice alike, and of use in an environment that has nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.shipping.conftest import build
from tests.support.places import ROOT


def one(folder: Path, pattern: str) -> Path:
    [found] = folder.glob(pattern)
    return found


def unpack(archive: Path, into: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    return one(into, "*")


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run with a PATH that has no mongod, away from the source tree."""
    kept = {name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "HOME"))}
    return subprocess.run(
        command,
        env={**kept, "PATH": "/nowhere", **environment},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
    )


def test_built_again_elsewhere_from_the_sdist_every_byte_is_the_same(
    built: Path, tmp_path: Path
) -> None:
    source = unpack(one(built, "*.tar.gz"), tmp_path / "source")
    for path in source.rglob("*"):
        os.utime(path)

    again = build(source, tmp_path / "again", umask=0o077)

    names = sorted(path.name for path in built.iterdir())
    assert sorted(path.name for path in again.iterdir()) == names
    assert [
        name for name in names if (built / name).read_bytes() != (again / name).read_bytes()
    ] == []


def test_metadata_is_what_an_index_takes(built: Path) -> None:
    checked = run(sys.executable, "-m", "twine", "check", "--strict", *sorted(built.iterdir()))

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_file_of_the_packages_and_the_license_are_in_both(built: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = {file for file in listed.stdout.splitlines() if (ROOT / file).exists()}
    shipped = {file for file in files if re.match(r"(consumer|jobs|config)/", file)}
    with zipfile.ZipFile(one(built, "*.whl")) as wheel:
        in_wheel = set(wheel.namelist())
    with tarfile.open(one(built, "*.tar.gz")) as sdist:
        in_sdist = {name.partition("/")[2] for name in sdist.getnames()}

    assert {file for file in shipped if not file.endswith(".png")} - in_wheel == set()
    assert [name.partition("/")[2] for name in in_wheel if name.endswith("/LICENSE")] == [
        "licenses/LICENSE"
    ]
    of_git = {file for file in files if file.startswith((".git-", ".gitignore"))}
    assert files - of_git - in_sdist == set()


@pytest.mark.parametrize("kind", ["wheel", "clone"])
def test_installed_alone_it_says_how_to_get_mongodb_and_then_shows_itself(
    built: Path, tmp_path: Path, kind: str
) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, timeout=120)
    python = tmp_path / "venv" / "bin" / "python"
    program = python.with_name("cxone-consumer")
    what = (
        [one(built, "*.whl")]
        if kind == "wheel"
        else ["-e", unpack(one(built, "*.tar.gz"), tmp_path / "source")]
    )
    installed = run(python, "-m", "pip", "install", "-q", *what)
    assert installed.returncode == 0, installed.stderr

    without = run(program, "demo", COLUMNS="1000")
    said = re.search(r"`(\S+ -m pip install [^`]*)`", without.stderr)
    assert without.returncode == 1, without.stderr
    assert said, without.stderr
    followed = run("/bin/sh", "-c", said[1])
    assert followed.returncode == 0, followed.stderr

    shown = run(program, "demo", "--events", "50", "--json")
    assert shown.returncode == 0, shown.stderr
    json.loads(shown.stdout)
    # A clone stays one.
    location = run(python, "-c", "import consumer; print(consumer.__file__)").stdout
    assert (str(tmp_path / "source") in location) == (kind == "clone")
