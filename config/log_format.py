"""Write an event as one log line, JSON or text, of values that are bounded and cannot forge one."""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Mapping
from itertools import islice

import msgspec

MAX_TEXT = 4096
_MAX_ITEMS = 50
_MAX_NESTING = 4
# C0 and C1 controls, line separators, direction overrides, and halves of surrogate pairs.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
# Text that needs no quotes in a line for people.
_PLAIN = re.compile(r"[^\s\"'=\\]+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def clean(value: object, nesting: int = _MAX_NESTING) -> object:
    """The value as JSON can hold it: numbers, booleans and None as they are, all else as text."""
    kind = type(value)
    if kind is str:
        return clean_text(value)  # type: ignore[arg-type]
    if value is None or kind is bool or kind is float:
        return value
    if kind is int:
        return value if value.bit_length() < 64 else f"integer of {value.bit_length()} bits"  # type: ignore[attr-defined]
    if nesting and isinstance(value, Mapping):
        pairs = islice(value.items(), _MAX_ITEMS)
        return {clean_text(str(key)): clean(item, nesting - 1) for key, item in pairs}
    if nesting and isinstance(value, list | tuple | set | frozenset):
        return [clean(item, nesting - 1) for item in islice(value, _MAX_ITEMS)]
    return clean_text(_as_text(value))


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    if len(text) > limit:
        text = f"{text[:limit]}… ({len(text)} characters)"
    return _UNSAFE.sub(_escape, text) if _UNSAFE.search(text) else text


def clean_lines(text: str, limit: int = 4 * MAX_TEXT) -> str:
    """The same for a traceback: its lines stay, of a long one begin and end."""
    if len(text) > limit:
        text = f"{text[: limit // 2]}\n…\n{text[-limit // 2 :]}"
    return "\n".join(clean_text(line) for line in text.split("\n"))


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def _as_text(value: object) -> str:
    try:
        return value.hex(" ") if isinstance(value, bytes) else str(value)
    except Exception:
        # Logging never fails a request, whatever it was handed.
        return f"<{type(value).__name__}>"


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
