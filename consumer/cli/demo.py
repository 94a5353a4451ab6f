"""`demo`: play realistic deliveries with a MongoDB of its own, and show what became of them."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from config import loading as configuration
from config import logs
from consumer.cli.console import console, error_console, print_json, shown, table
from consumer.cli.context import AsJson
from consumer.cli.serve import stop_on_signals
from consumer.core.paths import RESERVED, to_key, to_segment, to_text
from consumer.core.paths import Path as FieldPath
from consumer.core.waiting import interruptibly
from consumer.demo.play import (
    Answered,
    Example,
    Stored,
    await_stored,
    count_answers,
    play,
    read_stored,
)
from consumer.demo.samples.scenario import scenario
from consumer.mongodb.embedded.supervisor import EmbeddedMongo
from consumer.runtime.service import Service
from consumer.runtime.settings_map import shared_secrets, signature_scheme
from consumer.schemas.json_types import bits

# Of a value in the example.
_VALUE_CHARACTERS = 50


def demo(
    events: Annotated[int, typer.Option(min=20, max=100_000, help="Deliveries to send.")] = 300,
    seed: Annotated[int, typer.Option(help="Another seed tells another story.")] = 1,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")
    ] = 0,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Leave the service up until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
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
        key = shared_secrets(settings.main)[0].key
        answered = play(scenario(seed, events), service.url, signature_scheme(settings.main), key)
        waiting = await_stored(service, _report_waiting)
        found = read_stored(service.shared)
        if as_json:
            print_json(as_document(answered, found))
        else:
            print_tables(answered, found)
        if waiting:
            error_console().print(
                f"{waiting:,} deliveries are not in the tables: MongoDB did not take them from the"
                " spool within a minute"
            )
        if keep_running:
            _invite(service, directory / "demo.env", secret, mongod.uri)
            _print_console(service, password)
            stop_on_signals(service.stop)
            interruptibly(stopped.wait)
        elif not as_json:
            _suggest_next()
    return 0 if all(one.word for one in answered) and not waiting else 1


def _interrupt() -> None:
    raise KeyboardInterrupt


def _report_waiting(count: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{count} deliveries wait for MongoDB … \r")


def _suggest_next() -> None:
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


def print_tables(answered: list[Answered], found: Stored) -> None:
    out = console()
    out.print(
        table(
            ("answer", "deliveries"),
            [
                (f"{status or ''} {word}".strip(), count)
                for (status, word), count in _ordered(answered)
            ],
            title=f"{len(answered)} deliveries sent through HTTP",
        )
    )
    special = [one for one in answered if one.sample.expect not in ("processed", "duplicate")]
    out.print(
        table(
            ("delivery", "answer"),
            [(one.sample.note, f"{one.status} {one.word}") for one in special],
            title="What was wrong on purpose",
        )
    )
    out.print(
        table(
            ("reason", "entries", "seen", "status"),
            [
                (row["_id"]["reason"], row["count"], row["seen"], row["_id"]["status"])
                for row in found.dead_letters
            ],
            title="Dead letters: kept with their bytes unaltered",
        )
    )
    out.print(
        table(
            ("event type", "documents", "versions", "fields"),
            [
                (subject, found.documents.get(subject, 0), len(versions), len(versions[-1].live))
                for subject, versions in found.histories.items()
            ],
            title="Schemas",
        )
    )
    out.print(
        table(
            ("event type", "version", "change", "field", "was", "is"),
            [
                (
                    subject,
                    version.number,
                    change.kind,
                    to_text(change.path),
                    _types(change.before),
                    _types(change.after),
                )
                for subject, version, change in found.changes()
            ],
            title="What changed on the way",
        )
    )
    if found.example is not None:
        _print_example(found.example)
    milliseconds = median(one.seconds for one in answered) * 1000
    out.print(f"Median time to a durable answer: {milliseconds:.1f} ms over one connection.")


def _print_example(example: Example) -> None:
    """A stored event field by field: sent, filled since then, or added by the service."""
    rows = []
    for path, value in _leaves(example.document, ()):
        added = path[0] in RESERVED
        origin = "added" if added else "sent" if _holds(example.sent, path) else "filled"
        text = shown(value) if added else json.dumps(value, ensure_ascii=False, default=shown)
        cut = text if len(text) <= _VALUE_CHARACTERS else text[: _VALUE_CHARACTERS - 3] + "..."
        rows.append((to_text(path), cut, origin))
    kind = example.document["_meta"]["subject"]
    title = (
        f"A stored {kind} of version {example.document['schema_version']}, readable as the newest"
    )
    console().print(table(("field", "value", "origin"), rows, title=title))


def _leaves(value: Mapping[str, Any], above: FieldPath) -> Iterator[tuple[FieldPath, object]]:
    """Values that hold no object, by path, without `_meta`."""
    for key, held in value.items():
        path = (*above, to_segment(key))
        if path == ("_meta",):
            continue
        if isinstance(held, dict) and held:
            yield from _leaves(held, path)
        else:
            yield path, held


def _holds(payload: Any, path: FieldPath) -> bool:
    for segment in path:
        if not isinstance(payload, dict) or to_key(segment) not in payload:
            return False
        payload = payload[to_key(segment)]
    return True


def _types(mask: int | None) -> str | None:
    return None if mask is None else " | ".join(bits(mask)) or "null"


def _ordered(answered: list[Answered]) -> list[tuple[tuple[int | None, str], int]]:
    return sorted(count_answers(answered).items(), key=lambda item: (-item[1], item[0][1]))


def as_document(answered: list[Answered], found: Stored) -> dict[str, object]:
    return {
        "deliveries": len(answered),
        "answers": [
            {"status": status, "word": word, "count": count}
            for (status, word), count in _ordered(answered)
        ],
        "documents": dict(found.documents),
        "dead_letters": [
            {**row["_id"], "entries": row["count"], "seen": row["seen"]}
            for row in found.dead_letters
        ],
        "schemas": {
            subject: {
                "versions": len(versions),
                "changes": [
                    {"version": version.number, **change.to_document()}
                    for version in versions[1:]
                    for change in version.changes
                ],
            }
            for subject, versions in found.histories.items()
        },
    }
