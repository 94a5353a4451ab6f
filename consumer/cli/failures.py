"""End a command for each error: with a sentence for people and an exit status for programs."""

from __future__ import annotations

import contextlib
import errno
import os
import sys

import typer
from pymongo.errors import PyMongoError

from config.faults import SettingsError
from consumer.cli.console import error_console
from consumer.core.errors import ConsumerError, FormatTooNew, NoMongo, StoreUnavailable
from consumer.core.text import safe
from consumer.mongodb.errors import unavailable

# The statuses are part of the contract; the most special error first.
_STATUS: dict[type[BaseException], int] = {
    SettingsError: 2,
    NoMongo: 2,
    FormatTooNew: 2,
    StoreUnavailable: 3,
    ConsumerError: 1,
    KeyboardInterrupt: 130,
    typer.Abort: 130,
}
# A pipe without a reader is a broken one, and an invalid argument on Windows.
_CLOSED = (errno.EPIPE, errno.EINVAL)


def exit_status(error: BaseException) -> int | None:
    """Show the error and return the status to end with; None for one that nobody foresaw."""
    if isinstance(error, OSError) and error.errno in _CLOSED and _reader_left():
        return 1  # nothing to say, and nowhere to say it
    # No error of the driver leaves the program as such.
    shown = unavailable(error) if isinstance(error, PyMongoError) else error
    status = next((status for kind, status in _STATUS.items() if isinstance(shown, kind)), None)
    if status is not None and str(shown):
        # A subject that it names may come from outside.
        error_console().print(safe(f"cxone-consumer: {shown}"), soft_wrap=True)
    return status


def _reader_left() -> bool:
    """True where nobody reads our output any more (`| head`, `| more` and q). What is left of it
    goes nowhere, or Python would complain at the end of the process."""
    try:
        # An unbuffered stream keeps nothing that could be flushed to see.
        print(flush=True)
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
