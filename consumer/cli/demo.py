"""`demo`: show the whole on this machine, with a MongoDB and a secret of its own."""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from config import logs
from config import settings as configuration
from consumer.cli.console import console, error_console, print_json
from consumer.cli.demo_report import facts, show
from consumer.cli.serve import stop_on_signals
from consumer.demo import await_stored, kept, play
from consumer.options import shared_secrets, signature_scheme
from consumer.runtime import Service
from consumer.samples import scenario
from consumer.storage.embedded import EmbeddedMongo


def demo(
    events: Annotated[int, typer.Option(min=20, max=100_000, help="Deliveries to send.")] = 300,
    seed: Annotated[int, typer.Option(help="Another seed tells another story.")] = 1,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")
    ] = 0,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Leave the service up until Ctrl-C.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> int:
    """Start MongoDB and the service, send realistic events, and show what became of them.

    Everything lives in a temporary directory and is gone at the end.
    """
    secret, password = secrets.token_urlsafe(32), secrets.token_urlsafe(12)
    logs.configure("error", "console", sys.stderr)
    # From the first moment on, so that nothing is left behind when the terminal is closed.
    stop_on_signals(_interrupt)
    with ExitStack() as parts:
        directory = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="cxone-demo-")))
        mongod = parts.enter_context(EmbeddedMongo(directory, cache_gb=0.25))
        settings = configuration.load(
            {
                "CXONE_SHARED_SECRET": secret,
                "CXONE_LISTEN": f"127.0.0.1:{port}",
                "CXONE_DATA_DIR": str(directory),
                "MONGODB_URI": mongod.uri,
                # Nobody watches for the minute of quiet that a real one waits for.
                "CXONE_BACKFILL_QUIET": "0",
                "CXONE_BACKFILL_INTERVAL": "1",
                # An empty one is none: a demo that ends at once has nobody to look at it.
                "CXONE_CONSOLE_PASSWORD": password if keep_running else "",
            },
            environ={},
        )
        service = Service(settings, mongod.uri)
        stopped = parts.enter_context(_served(service))
        key = shared_secrets(settings)[0].key
        told = play(scenario(seed, events), service.url, signature_scheme(settings), key)
        waiting = await_stored(service, _tell_waiting)
        found = kept(service.core)
        if as_json:
            print_json(facts(told, found))
        else:
            show(told, found)
        if waiting:
            error_console().print(
                f"{waiting:,} deliveries are not in the tables: MongoDB did not take them from the"
                " spool within a minute"
            )
        if keep_running:
            _invite(service, directory / "demo.env", secret, mongod.uri)
            _show_console(service, password)
            stop_on_signals(service.stop)
            # In short waits, for on Windows one without end cannot be interrupted.
            while not stopped.wait(0.5):
                pass
        elif not as_json:
            _tell_next()
    return 0 if all(one.word for one in told) and not waiting else 1


def _interrupt() -> None:
    raise KeyboardInterrupt


def _tell_waiting(count: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{count} deliveries wait for MongoDB … \r")


def _tell_next() -> None:
    """Say what to try next, by the name under which this program was found."""
    called = Path(sys.argv[0])
    on_path = shutil.which("cxone-consumer") is not None or called.stem != "cxone-consumer"
    name = "cxone-consumer" if on_path else str(called)
    out = console()
    out.print("\nTry next:\n")
    out.print(f"  {name} demo --keep-running   the same, with a console in the browser")
    out.print(f"  {name} init                  settings with a new secret, and what CXone needs")
    out.print(f"  {name} serve --embedded      take webhooks, with a MongoDB of its own")


@contextmanager
def _served(service: Service) -> Iterator[threading.Event]:
    """The service in a thread of its own; the event is set when it has stopped."""
    stopped = threading.Event()

    def run() -> None:
        try:
            service.run()
        finally:
            stopped.set()

    thread = threading.Thread(target=run, name="service")
    thread.start()
    try:
        yield stopped
    finally:
        service.stop()
        thread.join()


def _invite(service: Service, env_file: Path, secret: str, uri: str) -> None:
    """Say how to send to the service that stays up; a file holds what the commands must know, so
    that the secret is not in anybody's list of processes."""
    host, port = service.server.address
    lines = (f"CXONE_SHARED_SECRET={secret}", f"MONGODB_URI={uri}", f"CXONE_LISTEN={host}:{port}")
    env_file.touch(mode=0o600)
    env_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    out = console()
    out.print("\nThe service stays up until Ctrl-C. In another terminal:\n")
    out.print(f"  cxone-consumer --env-file {env_file} send FILE.json")
    out.print(f"  cxone-consumer --env-file {env_file} dlq list")
    out.print(f"  curl http://{host}:{port}/readyz\n")


def _show_console(service: Service, password: str) -> None:
    host, port = service.server.address
    out = console()
    out.print("In the browser:\n")
    out.print(f"  http://{host}:{port}/console")
    out.print(f"  password: {password}\n")
