"""`events export`: events of a span of time as JSON Lines, and on again after any end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from consumer.cli.bodies import STDIN
from consumer.cli.console import error_console, print_json, shown
from consumer.cli.context import AsJson
from consumer.cli.events.find import (
    LATE,
    Version,
    Wanted,
    Where,
    masks_of,
    read_person,
    rules,
    since_or_first,
)
from consumer.cli.options import EventType, FromSource, Since, Until, moment
from consumer.cli.reveal import Reveal
from consumer.cli.schema.shared import Context, opened
from consumer.core.clock import utc_now
from consumer.core.errors import SetupError
from consumer.core.text import safe
from consumer.privacy.rules import Redaction

if TYPE_CHECKING:
    from consumer.mongodb.client import Document
    from consumer.readers.projection import Projection
    from consumer.schemas.registry.registry import SchemaRegistry

    Line = Callable[[Document], bytes]


@dataclass(frozen=True, slots=True)
class Position:
    """State of an export: the last event in the file (`processed_at`, `id`), the bytes that the
    file has with it, how many events; `since` and `until`, and what was asked, as a digest."""

    asked: str
    since: str
    until: str
    processed_at: str = ""
    id: str = ""
    bytes: int = 0
    events: int = 0

    def is_behind(self, event: Document) -> bool:
        """True for an event that is in the file already."""
        return (iso(event["processed_at"]), event["_id"]) <= (self.processed_at, self.id)


def export_events(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A new .jsonl file, or - for stdout.")
    ],
    *,
    event_type: EventType = None,
    source: FromSource = None,
    version: Version = None,
    since: Since = None,
    until: Until = None,
    where: Where = None,
    reader: Annotated[
        str | None, typer.Option(metavar="NAME", help="As this pinned reader sees them.")
    ] = None,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """Write events as they were sent, one a line, the oldest first; up to five minutes ago.

    Beside FILE stands FILE.position until all is there: after any end the same command goes on from
    it, without a gap and without a double. What CXONE_REDACT names is masked; not so with --reveal.
    """
    if file == STDIN and as_json:
        raise typer.BadParameter("standard output takes the events: leave --json out, or name FILE")
    if file != STDIN and Path(file).suffix.lower() not in (".jsonl", ".ndjson"):
        raise typer.BadParameter("FILE must end in .jsonl: by that `send` knows it")
    now = utc_now()
    given = (event_type, source, version, since, until, where, reader, reveal)
    latest = now - LATE
    begun = Position(
        sha256(json.dumps(given).encode()).hexdigest(),
        iso(since_or_first(moment(since, now, "--since") if since else None)),
        iso(min(moment(until, now, "--until") if until else latest, latest)),
    )
    with opened(ctx) as context, _target(file, begun) as (out, position):
        masks = masks_of(context, "events export", reveal=reveal, reader=reader)
        wanted = Wanted(
            event_type=event_type,
            version=version,
            source=source,
            person=read_person(context, where),
            since=datetime.fromisoformat(position.since),
            until=None,
            by_subject=context.one_subject is None,
            type_of=context.shared.sources.main.parser.type_of,
            masks=masks,
        )
        query = wanted.query(context)
        line: Line
        if reader is None:
            line = _as_sent(context, masks)
        else:
            views = _projections(context, reader, event_type)
            query["$and"] = [*query.get("$and", ()), {"_meta.subject": {"$in": list(views)}}]
            line = _as_read(context, views, masks)
        done = _write(context, wanted, _Task(query, line, out), position)
    upto = datetime.fromisoformat(done.until)
    if as_json:
        print_json({"file": file, "written": done.events, "until": upto})
        return
    masked = "; what CXONE_REDACT names is masked" if masks else ""
    error_console().print(safe(f"{done.events:,} events written, up to {shown(upto)}{masked}"))


def _write(context: Context, wanted: Wanted, task: _Task, position: Position) -> Position:
    from consumer.events.walk import EventWalk
    from consumer.mongodb.client import EVENTS

    until = datetime.fromisoformat(position.until)
    start = datetime.fromisoformat(position.processed_at or position.since)
    walk = EventWalk(context.shared.database[EVENTS])
    with _bar(context, start, until) as progress:
        for window in walk.forward(task.query, start, until):
            last = None
            for event in window.events:
                if position.is_behind(event) or not wanted.fits(event):
                    continue
                written = task.out.write(task.line(event))
                position = replace(
                    position, bytes=position.bytes + written, events=position.events + 1
                )
                last = event
            if last is not None:
                position = replace(position, processed_at=iso(last["processed_at"]), id=last["_id"])
                task.out.keep(position)
            progress(window.upto, position.events)
    return position


@contextmanager
def _bar(
    context: Context, start: datetime, until: datetime
) -> Iterator[Callable[[datetime, int], None]]:
    from consumer.events.walk import EventWalk
    from consumer.mongodb.client import EVENTS

    begin = EventWalk(context.shared.database[EVENTS]).first(start) or start
    err = error_console()
    columns = (TextColumn("Exporting"), BarColumn(), TextColumn("{task.description}"))
    with Progress(
        *columns, TimeRemainingColumn(), console=err, disable=not err.is_terminal, transient=True
    ) as bar:
        task = bar.add_task("", total=max(1.0, (until - begin).total_seconds()))

        def progress(at: datetime, count: int) -> None:
            done = (at - begin).total_seconds()
            bar.update(task, completed=done, description=f"{count:,} to {shown(at)}")

        yield progress


def _as_sent(context: Context, masks: Redaction) -> Line:
    from consumer.events.recent import as_sent
    from consumer.privacy.person_query import meta_of, payload_of

    registry: SchemaRegistry = context.shared.registry
    known = cache(registry.compiled)

    def line(event: Document) -> bytes:
        subject = str(meta_of(event).get("subject"))
        schema = known(subject)
        version = schema.version
        payload = as_sent(event, version, schema.defaults) if version else payload_of(event)
        return _encoded(masks.value(payload, rules(context, subject)))

    return line


def _as_read(context: Context, views: dict[str, Projection], masks: Redaction) -> Line:
    from consumer.privacy.person_query import meta_of
    from consumer.readers.projection import shown as as_read

    def line(event: Document) -> bytes:
        subject = str(meta_of(event).get("subject"))
        read = as_read(views[subject], event)
        return _encoded(masks.document(read, rules(context, subject)))

    return line


def _projections(context: Context, reader: str, event_type: str | None) -> dict[str, Projection]:
    views = context.views()
    pins = [each for each in views.pins.all() if each.reader == reader]
    found = {
        each.subject: views.projection(each)
        for each in pins
        if event_type in (None, each.subject) or context.one_subject is not None
    }
    if not found:
        raise SetupError(f'"{reader}" is not pinned there: `cxone-consumer schema pins` lists all')
    return found


def _encoded(value: Any) -> bytes:
    from consumer.events.search import as_python

    text = json.dumps(as_python(value), ensure_ascii=False, separators=(",", ":"), default=_plain)
    return text.encode() + b"\n"


def _plain(value: object) -> str:
    return iso(value).replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def iso(at: datetime) -> str:
    """A time so that texts sort as times do."""
    return at.isoformat(timespec="milliseconds")


class _Out:
    """The file, and its position beside it. Both are durable when a position is kept, the file
    first: so it never says more than the file has."""

    def __init__(self, file: BinaryIO, path: Path | None) -> None:
        self._file = file
        self._path = path

    def write(self, line: bytes) -> int:
        return self._file.write(line)

    def keep(self, position: Position) -> None:
        self._file.flush()
        if self._path is not None:
            os.fsync(self._file.fileno())
            _put(self._path, position)


@dataclass(frozen=True, slots=True)
class _Task:
    query: Document
    line: Line
    out: _Out


@contextmanager
def _target(name: str, begun: Position) -> Iterator[tuple[_Out, Position]]:
    """The file and where to go on in it; its position goes once all is there."""
    if name == STDIN:
        yield _Out(sys.stdout.buffer, None), begun
        return
    path, beside = Path(name), Path(f"{name}.position")
    try:
        position = _read(beside)
        if position is None:
            if path.exists():
                raise typer.BadParameter(f"{name} is there already: name a new file")
            position = begun
            _put(beside, position)
        elif position.asked != begun.asked:
            raise SetupError(
                f"{beside} is of another export: give the same options, or remove it and {name}"
            )
        # Payloads are customers' data: nobody else may read them.
        path.touch(mode=0o600)
        with path.open("r+b") as file:
            file.truncate(position.bytes)
            file.seek(position.bytes)
            yield _Out(file, beside), position
            file.flush()
            os.fsync(file.fileno())
        beside.unlink()
    except OSError as error:
        raise SetupError(f"{name} cannot be written: {error.strerror}") from error


def _read(path: Path) -> Position | None:
    try:
        return Position(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise SetupError(f"{path} is no position of an export: remove it, and its file") from None


def _put(path: Path, position: Position) -> None:
    draft = path.with_name(f"{path.name}.new")
    with draft.open("wb") as file:
        file.write(json.dumps(asdict(position)).encode())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    with suppress(PermissionError):  # Windows opens no folders, and needs not
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
