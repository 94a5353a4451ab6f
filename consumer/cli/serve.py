"""`serve`: run the service in the foreground until it is asked to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures.thread import _threads_queues
from pathlib import Path
from typing import Annotated

import structlog
import typer

from config import environment, logs
from consumer.cli.context import load_settings
from consumer.os_service import watch
from consumer.os_service.systemd_notify import Systemd
from consumer.runtime.service import Service
from consumer.runtime.settings_map import longest_stop, needed

log = structlog.get_logger(__name__)


def serve(
    ctx: typer.Context,
    embedded: Annotated[
        bool,
        typer.Option(
            "--embedded",
            help="Run MongoDB as a child process with its files in the data directory.",
        ),
    ] = False,
    listen: Annotated[
        str | None, typer.Option(help="Address to listen on, as host:port.", metavar="ADDRESS")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Directory for everything kept on this machine.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Log one JSON object a line, as LOG_FORMAT=json does.")
    ] = False,
) -> None:
    """Take webhooks until SIGTERM or Ctrl-C; everything accepted is answered first."""
    settings = load_settings(
        ctx,
        needed(embedded=embedded),
        cxone_listen=listen,
        cxone_data_dir=str(data_dir) if data_dir else None,
        log_format="json" if as_json else None,
    )
    logs.configure(settings.log_level, settings.log_format, sys.stderr)
    # Nobody listens unless systemd started this process.
    systemd = Systemd(environment.supervision(), longest_stop(settings))
    watch.run(settings, systemd, _begun, embedded=embedded)
    log.info("stopped")
    if jobs_go_on():
        # Everything is answered and durable. Python would wait for these threads, and they wait
        # for MongoDB: up to a minute, in which a service manager gives up.
        sys.stderr.flush()
        os._exit(0)


def jobs_go_on() -> bool:
    """True when threads of jobs are left that could not be stopped in time.

    Those of a pool that was begun in a daemon thread, as the scheduler's is, are daemons by name
    alone: Python waits for them too.
    """
    return any(
        thread is not threading.main_thread() and (not thread.daemon or thread in _threads_queues)
        for thread in threading.enumerate()
    )


def _begun(service: Service) -> None:
    stop_on_signals(service.stop)
    log.info("listening", url=service.url)


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` on SIGTERM, Ctrl-C, a terminal that is closed and, on Windows, Ctrl-Break; once,
    then the system's way."""
    names = ("SIGTERM", "SIGINT", "SIGBREAK", "SIGHUP")
    found = (getattr(signal, name) for name in names if hasattr(signal, name))
    # What `nohup` ignores stays ignored.
    numbers = [number for number in found if signal.getsignal(number) != signal.SIG_IGN]

    def on_signal(_number: int, _frame: object) -> None:
        # A second signal ends the process at once, for someone who cannot wait for the drain. But
        # a terminal that is closed may say so twice: its shell first, then the kernel.
        for number in numbers:
            again = signal.SIG_IGN if number == getattr(signal, "SIGHUP", None) else signal.SIG_DFL
            signal.signal(number, again)
        stop()

    for number in numbers:
        signal.signal(number, on_signal)
