"""Write one event as one line: JSON for machines, or text for people."""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Mapping

import msgspec

_PLAIN = re.compile(r"[^\s\"'=\\]+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def as_json(fields: Mapping[str, object]) -> str:
    return msgspec.json.encode(fields).decode()


def as_console(fields: Mapping[str, object]) -> str:
    """`time level logger: event  key=value …`; a traceback follows, indented, so that no line of
    an exception's text can pass for a line of the log."""
    rest = dict(fields)
    head = f"{rest.pop('timestamp')} {rest.pop('level'):<8} {rest.pop('logger')}: "
    trace = rest.pop("exception", None)
    line = head + str(rest.pop("event"))
    line += "".join(f"  {key}={_console_value(value)}" for key, value in rest.items())
    if trace:
        line += "".join(f"\n    {row}" for row in str(trace).split("\n"))
    return line


def ascii_only(line: str, fmt: str) -> str:
    """For a stream whose encoding lacks a character (cp1252): escaped as JSON or Python do."""
    if fmt == "json":
        return _NOT_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], line)
    return line.encode("ascii", "backslashreplace").decode()


def traceback_of(exc_info: object) -> str | None:
    """The traceback of what `exc_info` may be (True: the exception being handled); no locals."""
    if isinstance(exc_info, BaseException):
        error: BaseException | None = exc_info
    elif isinstance(exc_info, tuple):
        error = exc_info[1] if len(exc_info) == 3 else None
    else:
        error = sys.exc_info()[1] if exc_info else None
    if not isinstance(error, BaseException):
        return None
    return "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip()


def _console_value(value: object) -> str:
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    return as_json_value(value)


def as_json_value(value: object) -> str:
    return msgspec.json.encode(value).decode()
