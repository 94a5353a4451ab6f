"""Set up logging: one line an event, JSON or console, ours and the libraries' alike."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, MutableMapping
from datetime import datetime, timezone
from typing import Any, Literal, TextIO

import structlog

from config.log_format import (
    as_console,
    as_json,
    ascii_only,
    clean,
    clean_lines,
    clean_text,
    traceback_of,
)

LogLevel = Literal["debug", "info", "warning", "error", "critical"]
LogFormat = Literal["console", "json"]

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
# Libraries that would say too much: a line for each queued request, sender that hung up (with the
# path it asked for), scheduled run, waiting query.
_QUIET = {
    "waitress": "warning",
    "waitress.queue": "error",
    "apscheduler": "warning",
    "pymongo": "warning",
}
_RESERVED = ("timestamp", "level", "logger", "event", "exception")


def configure(
    level: LogLevel,
    fmt: LogFormat,
    stream: TextIO,
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> None:
    """Send what structlog and the standard library log from `level` on to `stream`.

    Call it once, before the first line: loggers are cached on first use. Calling it again moves
    the loggers made since and the standard library's.
    """
    sink = _Sink(fmt, stream, clock)
    structlog.configure(
        processors=[_pass_on],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda name="", *_: _Logger(str(name), sink),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(old)
    root.addHandler(_Handler(sink))
    # Never below info: at debug, drivers log commands with the payloads and secrets in them.
    least = max(_LEVELS[level], _LEVELS["info"])
    root.setLevel(least)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, _LEVELS[quiet]))


class _Sink:
    """Writes events to one stream, each in one call, so that threads do not mix their lines."""

    def __init__(self, fmt: LogFormat, stream: TextIO, clock: Callable[[], datetime]) -> None:
        self._fmt = fmt
        self._render = as_json if fmt == "json" else as_console
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()

    def emit(self, level: str, logger: str, fields: Mapping[str, Any]) -> None:
        """Never raises: a full disk, a closed pipe or an odd value must not cost a delivery."""
        now = self._clock().astimezone(timezone.utc).isoformat(timespec="milliseconds")
        head = {"timestamp": now.replace("+00:00", "Z"), "level": level, "logger": logger}
        try:
            text = self._render(_line(head, fields))
        except Exception as error:
            text = self._render({**head, "event": f"not loggable: {type(error).__name__}"})
        with self._lock:
            try:
                self._put(text)
            except (OSError, ValueError):  # broken pipe, full disk; closed file
                return

    def _put(self, text: str) -> None:
        try:
            self._stream.write(text + "\n")
        except UnicodeEncodeError:
            self._stream.write(ascii_only(text, self._fmt) + "\n")
        self._stream.flush()


def _line(head: Mapping[str, str], fields: Mapping[str, Any]) -> dict[str, object]:
    """The fields in the order of a line, each fit for one."""
    line: dict[str, object] = {**head, "event": clean(fields.get("event", ""))}
    for key, value in fields.items():
        if key not in ("event", "exc_info"):
            # A field can not pass for one of ours.
            line[f"{key}_" if key in _RESERVED else clean_text(key)] = clean(value)
    trace = traceback_of(fields.get("exc_info"))
    if trace:
        line["exception"] = clean_lines(trace)
    return line


class _Logger:
    """The logger behind structlog's filtering one, for events that passed the level."""

    __slots__ = ("_name", "_sink")

    def __init__(self, name: str, sink: _Sink) -> None:
        self._name = name
        self._sink = sink

    def debug(self, **fields: Any) -> None:
        self._sink.emit("debug", self._name, fields)

    def info(self, **fields: Any) -> None:
        self._sink.emit("info", self._name, fields)

    def warning(self, **fields: Any) -> None:
        self._sink.emit("warning", self._name, fields)

    def error(self, **fields: Any) -> None:
        self._sink.emit("error", self._name, fields)

    exception = error

    def critical(self, **fields: Any) -> None:
        self._sink.emit("critical", self._name, fields)

    warn = warning
    msg = info
    log = info
    fatal = critical
    failure = error
    err = error


class _Handler(logging.Handler):
    """Brings records of the standard library into the same lines."""

    def __init__(self, sink: _Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = record.getMessage()
        except Exception:  # a library's format and arguments that do not fit
            event = str(record.msg)
        fields = {"event": event, "exc_info": record.exc_info}
        self._sink.emit(record.levelname.lower(), clean_text(record.name), fields)


def _pass_on(
    _logger: object, _method: str, fields: MutableMapping[str, Any]
) -> tuple[tuple[()], MutableMapping[str, Any]]:
    return (), fields
