"""`spool`: look at what waits on this machine for MongoDB, hand it over, or copy it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec
import structlog
import typer

from config.environment import user_name
from config.loading import Settings
from consumer.cli.console import console, error_console, print_json, table
from consumer.cli.context import AsJson, load_settings, open_shared
from consumer.cli.reveal import Reveal, masks_beside
from consumer.core.clock import utc_now
from consumer.core.data_dir import DataDirectory
from consumer.core.errors import NoMongo, SetupError, StoreUnavailable
from consumer.privacy.rules import Redaction
from consumer.spool.records import plain

log = structlog.get_logger(__name__)


def status(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show how much waits, and since when."""
    from consumer.spool.survey import deliveries, directory_in, survey

    settings = load_settings(ctx)
    directory = directory_in(settings.cxone_data_dir)
    found = survey(directory)
    age = (utc_now() - found.oldest).total_seconds() if found.oldest else None
    facts: dict[str, Any] = {
        "directory": str(directory.absolute()),
        "deliveries": found.depth,
        "bytes": found.bytes,
        "max_bytes": settings.cxone_spool_max_bytes,
        "oldest": found.oldest,
        "oldest_age_seconds": round(age, 1) if age is not None else None,
        "damaged": found.damaged,
    }
    if settings.sources:
        counted = Counter(delivery.source for delivery in deliveries(directory))
        facts["by_source"] = dict(sorted(counted.items()))
    if as_json:
        print_json(facts)
        return
    for name, count in facts.pop("by_source", {}).items():
        facts[f"of source {name}"] = count
    rows = [(name.replace("_", " "), value) for name, value in facts.items()]
    console().print(table(("spool", "value"), rows))
    if found.damaged:
        console().print(f"Damaged records lie aside in {directory / 'damaged'}.")


def export(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; one JSON a line.")],
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """Copy what waits into a file, as JSON Lines; the spool stays as it is.

    What CXONE_REDACT names is masked; --reveal copies bodies whole. The audit is in MongoDB: where
    that is away, the log alone says that you did.
    """
    from consumer.spool.survey import deliveries, directory_in

    settings = load_settings(ctx)
    directory = directory_in(settings.cxone_data_dir)
    masks = _masks(settings)
    if reveal and masks:
        _audit(settings)
        masks = Redaction()
    count = hidden = 0
    try:
        # Payloads are customers' data: nobody else may read them.
        file.touch(mode=0o600, exist_ok=False)
        with file.open("wb") as out:
            for delivery in deliveries(directory):
                body = masks.body(delivery.body)
                out.write(
                    msgspec.json.encode(plain(msgspec.structs.replace(delivery, body=body.shown)))
                    + b"\n"
                )
                count += 1
                hidden += bool(body.spans)
    except FileExistsError:
        raise SetupError(f"{file} exists: name a new file") from None
    except OSError as error:
        raise SetupError(f"{file} cannot be written ({error.strerror})") from error
    if as_json:
        print_json({"file": file, "written": count, "masked": hidden})
        return
    error_console().print(f"{count} deliveries written to {file}")
    if hidden:
        note = f"{hidden} of them with masked values (CXONE_REDACT): --reveal copies them whole"
        error_console().print(note)


def _masks(settings: Settings) -> Redaction:
    """The masks; where MongoDB is away, those of these settings without those of the service."""
    from consumer.runtime.settings_map import redaction

    try:
        with open_shared(settings) as shared:
            return masks_beside(settings, shared)
    except (StoreUnavailable, NoMongo):
        return redaction(settings)


def _audit(settings: Settings) -> None:
    """Record in the audit that somebody copied what is masked, or in the log where it is away."""
    from consumer.mongodb.client import AUDIT
    from consumer.monitoring.audit import Audit

    who = user_name()
    try:
        with open_shared(settings) as shared:
            audit = Audit(shared.database[AUDIT])
            audit.record(who, "spool export --reveal", utc_now(), {})
    except (StoreUnavailable, NoMongo):
        log.warning("revealed without audit: MongoDB is away", by=who, what="spool export")


def drain(ctx: typer.Context, as_json: AsJson = False) -> int:
    """Hand what waits to MongoDB, while no service runs on the data directory: one that runs does
    it by itself."""
    from pymongo.errors import PyMongoError

    from consumer.mongodb.circuit_breaker import CircuitBreaker
    from consumer.mongodb.client import EVENTS
    from consumer.spool.spool import Spool
    from consumer.spool.survey import directory_in
    from jobs.drain_spool import DrainSpool

    settings = load_settings(ctx)
    with _owned(settings.cxone_data_dir), open_shared(settings) as shared:
        breaker = CircuitBreaker(shared.database[EVENTS], settings.cxone_spool_after)
        with suppress(PyMongoError):
            if block := shared.database.inspect():
                raise block
        if not breaker.probe():
            raise StoreUnavailable("MongoDB takes no writes now: the spool stays as it is")
        # What waits is judged by these settings.
        masks_beside(settings, shared)
        directory = directory_in(settings.cxone_data_dir)
        with closing(Spool(directory, settings.cxone_spool_max_bytes)) as spool:
            job = DrainSpool(
                spool=spool,
                breaker=breaker,
                store=shared.ingest.store,
                workers=settings.cxone_drain_workers,
                metrics=shared.metrics,
                clock=utc_now,
            )
            result = job(_TerminalRun())
    if as_json:
        print_json(result)
    else:
        rows = sorted((name.replace("_", " "), count) for name, count in result.items())
        console().print(table(("deliveries", "count"), rows, title="Drained"))
    return 0 if result["left"] == 0 else 1


@contextmanager
def _owned(data_dir: Path) -> Iterator[None]:
    directory = DataDirectory(data_dir)
    try:
        directory.acquire()
    except SetupError as error:
        raise SetupError(f"{error}. A service that runs drains its spool by itself") from error
    try:
        yield
    finally:
        directory.release()


class _TerminalRun:
    """The run of a job at the command line: it ends when it is done, or by Ctrl-C."""

    fence = 0

    def stopping(self) -> bool:
        return False

    def progress(self, **facts: object) -> None:
        error_console().print(f"{facts['left']} left")
