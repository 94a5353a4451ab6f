"""`demo`: play realistic deliveries with a MongoDB of its own, and show what became of them."""

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

from config import loading as configuration
from config import logs
from config.loading import Settings
from consumer.cli import demo_tables
from consumer.cli.console import console, error_console, print_json
from consumer.cli.context import AsJson
from consumer.cli.serve import stop_on_signals
from consumer.core.clock import utc_now
from consumer.core.waiting import interruptibly
from consumer.demo.play import await_stored, play, read_stored
from consumer.demo.readers import HastenedClock, Story
from consumer.demo.samples.mishaps import Sample
from consumer.demo.samples.scenario import scenario
from consumer.mongodb.embedded.supervisor import EmbeddedMongo
from consumer.runtime.service import Service
from consumer.runtime.settings_map import shared_secrets, signature_scheme

_EVENTS = 300


def demo(
    events: Annotated[
        int | None,
        typer.Option(min=20, max=100_000, help="Deliveries to send.", show_default=str(_EVENTS)),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed tells another story.")] = 1,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")
    ] = 0,
    *,
    readers: Annotated[
        bool,
        typer.Option(
            "--readers", help="Another story: a field is renamed, and its reader goes on."
        ),
    ] = False,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Leave the service up until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Start MongoDB and the service, send realistic events, and show what became of them.

    Everything lives in a temporary directory and is gone at the end.
    """
    if readers and events is not None:
        raise typer.BadParameter("--readers has its own number of events", param_hint="--events")
    clock = HastenedClock() if readers else utc_now
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
                # The first inserts of a new MongoDB take long on some machines. That is no outage:
                # the story would be told from the spool.
                "CXONE_SPOOL_AFTER": "8s",
                # Nobody watches for the minute of quiet that a real one waits for.
                "CXONE_BACKFILL_QUIET": "0",
                "CXONE_BACKFILL_INTERVAL": "1",
                # An empty one is none: a demo that ends at once has nobody to look at it.
                "CXONE_CONSOLE_PASSWORD": password if keep_running else "",
            },
            environ={},
        )
        service = Service(settings, mongod.uri, clock=clock)
        # Before the service begins to run.
        story = Story(service, settings, clock, seed) if isinstance(clock, HastenedClock) else None
        stopped = parts.enter_context(_served(service))
        if story is not None:
            well = _tell_readers(story, as_json)
        else:
            well = _tell_usual(service, settings, scenario(seed, events or _EVENTS), as_json)
        if keep_running:
            _invite(service, directory / "demo.env", secret, mongod.uri)
            _print_console(service, password)
            stop_on_signals(service.stop)
            interruptibly(stopped.wait)
        elif not as_json:
            _suggest_next(readers)
    return 0 if well else 1


def _tell_usual(
    service: Service, settings: Settings, samples: Iterator[Sample], as_json: bool
) -> bool:
    """Send the samples, and print what became of them; False where some got no further."""
    key = shared_secrets(settings.main)[0].key
    answered = play(samples, service.url, signature_scheme(settings.main), key)
    waiting = await_stored(service, _report_waiting)
    found = read_stored(service.shared)
    if as_json:
        print_json(demo_tables.document(answered, found))
    else:
        demo_tables.show(answered, found)
    if waiting:
        error_console().print(
            f"{waiting:,} deliveries are not in the tables: MongoDB did not take them from the"
            " spool within a minute"
        )
    return all(one.word for one in answered) and not waiting


def _tell_readers(story: Story, as_json: bool) -> bool:
    """The same of the other story."""
    told = story.tell()
    if as_json:
        print_json(demo_tables.readers_document(told))
    else:
        demo_tables.show_readers(told)
    return all(one.word for one in told.answered)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _report_waiting(count: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{count} deliveries wait for MongoDB … \r")


def _suggest_next(readers: bool) -> None:
    """Say what to try next, by the name under which this program was found."""
    called = Path(sys.argv[0])
    on_path = shutil.which("cxone-consumer") is not None or called.stem != "cxone-consumer"
    name = "cxone-consumer" if on_path else str(called)
    out = console()
    out.print("\nTry next:\n")
    if not readers:
        out.print(f"  {name} demo --readers        a field is renamed")
    out.print(f"  {name} demo --keep-running   with a console")
    out.print(f"  {name} init                  make settings")
    out.print(f"  {name} serve --embedded      take webhooks")


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
        interruptibly(thread.join)


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


def _print_console(service: Service, password: str) -> None:
    host, port = service.server.address
    out = console()
    out.print("In the browser:\n")
    out.print(f"  http://{host}:{port}/console")
    out.print(f"  password: {password}\n")
