"""Read from files and standard input the bodies to send, byte for byte."""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import typer

MIB = 1 << 20
MAX_BODY = 16 * MIB
# Repeats go over the bodies again, so all are held at once.
MAX_TOTAL = 256 * MIB
STDIN = "-"

_LINES_SUFFIXES = (".jsonl", ".ndjson")
_LINE_END = re.compile(rb"\r?\n")


def read_bodies(names: Iterable[str]) -> list[bytes]:
    """The bodies in all the files, in order.

    A `.jsonl` or `.ndjson` file is one body a line, blank lines left out; any other file is one
    body. Standard input, and a file with no suffix of its own, is one body unless its first line
    is a JSON value by itself. Raises typer.BadParameter (exit status 2) for what cannot be sent.
    """
    bodies: list[bytes] = []
    total = 0
    for name in names:
        data = _read(name, MAX_TOTAL - total)
        total += len(data)
        found = list(split(data, name))
        if not found:
            raise typer.BadParameter(f"{name}: there is nothing in it to send")
        bodies += found
    return bodies


def read_body(name: str) -> bytes:
    """All bytes of one file or of standard input; raises typer.BadParameter where not possible."""
    data = _read(name, MAX_TOTAL)
    _check(data, name)
    if not data:
        raise typer.BadParameter(f"{name}: there is nothing in it")
    return data


def split(data: bytes, name: str) -> Iterator[bytes]:
    """The bodies in the content of one file."""
    suffix = Path(name).suffix.lower()
    if suffix not in _LINES_SUFFIXES and (suffix or not _begins_with_lines(data)):
        _check(data, name)
        if data.strip():
            yield data
        return
    # The mark belongs to the file, not to its first event.
    for number, line in enumerate(_LINE_END.split(data.removeprefix(codecs.BOM_UTF8)), start=1):
        if line.strip():
            _check(line, f"{name}, line {number}")
            yield line


def _begins_with_lines(data: bytes) -> bool:
    """True when the first line is JSON by itself and something follows it."""
    lines = data.removeprefix(codecs.BOM_UTF8).lstrip().split(b"\n", 1)
    if len(lines) == 1 or not lines[1].strip():
        return False
    try:
        json.loads(lines[0])
    except (ValueError, RecursionError):
        return False
    return True


def _check(body: bytes, name: str) -> None:
    if len(body) > MAX_BODY:
        raise typer.BadParameter(
            f"{name}: the body is larger than {MAX_BODY // MIB} MiB, and no sender's is; "
            "if these are many events, put one on each line of a .jsonl file"
        )


def _read(name: str, limit: int) -> bytes:
    """All bytes, if they are at most `limit`."""
    try:
        if name == STDIN:
            return _bounded(sys.stdin.buffer, name, limit)
        with Path(name).open("rb") as file:
            return _bounded(file, name, limit)
    except OSError as error:
        # On Windows a directory answers "Permission denied".
        reason = "it is a directory" if Path(name).is_dir() else error.strerror or str(error)
        raise typer.BadParameter(f"{name}: cannot be read: {reason}") from error


def _bounded(stream: BinaryIO, name: str, limit: int) -> bytes:
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise typer.BadParameter(
            f"{name}: at most {MAX_TOTAL // MIB} MiB are sent at a time: send it in parts"
        )
    return data
