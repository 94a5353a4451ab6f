"""End a command for each error: with a sentence for people and an exit status for programs."""

from __future__ import annotations

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
    # The reader of our output left (`| head`): nothing to say, and nowhere to say it.
    BrokenPipeError: 1,
}


def exit_status(error: BaseException) -> int | None:
    """Show the error and return the status to end with; None for one that nobody foresaw."""
    # No error of the driver leaves the program as such.
    shown = unavailable(error) if isinstance(error, PyMongoError) else error
    status = next((status for kind, status in _STATUS.items() if isinstance(shown, kind)), None)
    if status is not None and str(shown):
        # A subject that it names may come from outside.
        error_console().print(safe(f"cxone-consumer: {shown}"), soft_wrap=True)
    return status
