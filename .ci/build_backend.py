"""Build as setuptools does, and the same bytes whenever and by whomever it is done (PEP 517).

The wheel has the times of SOURCE_DATE_EPOCH already. The sdist has not, and lacks what the wheel
leaves out; so it is packed anew.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403

# Beside the packages; none of it is installed.
_BESIDE = (".ci", ".github", "tests", "CHANGELOG.md", "config/console.png")
# 1980: no archive of zip, as a wheel is, has an earlier time.
_ZIP_BEGINS = 315532800


def build_wheel(wheel_directory: str, *arguments: Any) -> str:
    """The name of the wheel in that folder; files in it have the modes of files that are made."""
    os.umask(0o022)
    name: str = build_meta.build_wheel(wheel_directory, *arguments)
    return name


def build_sdist(sdist_directory: str, *arguments: Any) -> str:
    """The name of the sdist in that folder."""
    name: str = build_meta.build_sdist(sdist_directory, *arguments)
    archive = Path(sdist_directory, name)
    root = name.removesuffix(".tar.gz")
    with tarfile.open(archive) as made:
        made.extractall(sdist_directory, filter="data")
    folder = archive.with_name(root)
    for each in _BESIDE:
        if Path(each).is_dir():
            shutil.copytree(each, folder / each, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(each, folder / each)
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", _ZIP_BEGINS))
    with (
        gzip.GzipFile(archive, "wb", mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            member = tarfile.TarInfo(path.relative_to(sdist_directory).as_posix())
            member.size, member.mtime = path.stat().st_size, epoch
            member.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            with path.open("rb") as content:
                tar.addfile(member, content)
    shutil.rmtree(folder)
    return name
