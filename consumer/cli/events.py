"""`events erase`: remove a person from what is stored, and say what was removed and what not."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from config.person import user_name
from config.settings import Settings
from consumer.cli.console import error_console
from consumer.cli.context import load_settings
from consumer.cli.events_view import places_table, tell
from consumer.clock import utc_now
from consumer.erasure import Erased, Names, Place, erase, places, spooled
from consumer.matching import Condition, read_condition, read_path, read_value
from consumer.options import event_fields
from consumer.parsing import EventParser
from consumer.runtime import Core, open_core
from consumer.schema.paths import to_text
from consumer.storage import mongo
from consumer.storage.adoption_counts import Superseded
from consumer.storage.audit import Audit
from consumer.storage.erasing import Erasing, Found, Reach
from consumer.storage.instances import BEAT_EVERY, SILENT_AFTER, Instances
from consumer.storage.name_erasing import NameErasing
from consumer.storage.person_query import KeyPlace, Person
from consumer.storage.recount_mark import RecountMark
from consumer.storage.retention import retained_from
from jobs.adoption_rollup import Bounds, ledger, recount

app = typer.Typer(no_args_is_help=True)


@app.callback()
def events() -> None:
    """Keeps `erase` a command of its own although it is the only one."""


@app.command("erase")
def erase_events(
    ctx: typer.Context,
    *,
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="Events with this id.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUE",
            help="Events with this value, like customer.email=ann@example.com; several: all hold.",
        ),
    ] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Only of this type.")] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every event, for JSON inside its strings.")
    ] = False,
    also_unknown: Annotated[
        bool,
        typer.Option("--also-unknown", help="With --type: dead letters of no known type, too."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> int:
    """Delete what is kept of a person for good, and count adoption again.

    Events and dead letters go, what waits in the spool of this machine while no service runs on it,
    and what was set aside from that. A VALUE that tells by itself whose it is (an e-mail address, a
    phone number, a long id) is also looked for as a key; schema versions lose it, events of others
    what was filled in under it, and changes the ids of the events that caused them.

    A FIELD is a path (agent.name, participants[].email, a."b.c", metrics.*.owner) or a JSON
    Pointer; lists are looked through. A VALUE fits text and the number it reads as; in double
    quotes, text alone. Dead letters are read too, also JSON inside their strings, forms and gzip,
    repaired if need be; one that cannot be read goes where its text has the value behind the
    field's name, and is listed otherwise. JSON inside strings of events takes --deep.

    Not erased: backups, logs, and what waits in spools of other machines (it is said). Cut off, it
    can be run again.

    Exit status: 0 done, also where nothing was found; 1 it was not wanted.
    """
    settings = load_settings(ctx)
    person = _person(settings, ids or [], where or [], event_type)
    reach = Reach(deep=deep, also_unknown=also_unknown)
    with open_core(settings) as core:
        names = _names(core, settings, person)
        erasing = Erasing(
            core.database,
            EventParser(event_fields(settings), settings.cxone_store_max_depth).type_of,
            by_subject=settings.cxone_schema_scope == "type",
            as_sent=names.as_sent,
        )
        found = _look(erasing, person, reach, names.places())
        beside = partial(spooled, settings.cxone_data_dir, erasing, person, reach)
        named, waiting = names.find(found.keys), list(beside(remove=False))
        rows = [*places(found, None), *names.told(named), *waiting]
        erased = None
        if not dry_run and (found or named or any(each.theirs for each in waiting)):
            if not yes:
                error_console().print(places_table(rows))
                if not typer.confirm("Erase them for good?", default=False, err=True):
                    error_console().print("Nothing was erased.")
                    return 1
            _write_down(core, person, found, rows)
            # What would be filled in or come back goes first, the search for what is left last.
            rows = [*beside(remove=True), *names.erase(found.keys)]
            erased = _erase(
                core, erasing, found, partial(_search, erasing, person, reach, names, utc_now())
            )
            if later := erased.all.keys - found.keys:
                rows += names.erase(later)
            _count_again(core, settings)
            rows = [*places(found, erased), *rows]
        elsewhere = _spooled(core)
    tell(found, erased, rows, elsewhere, as_json=as_json, deep=deep)
    return 0


def _person(
    settings: Settings, ids: Sequence[str], where: Sequence[str], event_type: str | None
) -> Person:
    if bool(ids) == bool(where):
        raise typer.BadParameter("name the events by --id, or by --where: one of the two")
    id_path = read_path(_field(settings.cxone_id_field))
    try:
        conditions = tuple(read_condition(text) for text in where)
    except ValueError as error:
        raise typer.BadParameter(f"--where: {error}") from error
    return Person(
        tuple(Condition(id_path, read_value(i), by_key=False) for i in ids), conditions, event_type
    )


def _field(name: str) -> str:
    # The setting is a key as it is, not the text of a path.
    return name if name.startswith("/") else "/" + name.replace("~", "~0").replace("/", "~1")


def _names(core: Core, settings: Settings, person: Person) -> Names:
    only = person.event_type
    if only is not None and settings.cxone_schema_scope != "type":
        # The one schema is that of the other types too.
        only = ""
    database = core.database
    return Names(NameErasing(database, core.registry), core.registry, person, only,
                 lambda: _settle(Instances(database[mongo.INSTANCES])))  # fmt: skip


def _settle(instances: Instances) -> None:
    """Wait until the processes that run know the newest versions."""
    if any(row["silent"] < SILENT_AFTER for row in instances.all()):
        time.sleep(BEAT_EVERY + 1)


def _write_down(core: Core, person: Person, found: Found, rows: Sequence[Place]) -> None:
    """Before the deed, and without the values: those are what must be gone."""
    Audit(core.database[mongo.AUDIT]).record(
        user_name(),
        "events erase",
        utc_now(),
        {
            "by": "id" if person.ids else "where",
            "fields": [to_text(each.path) for each in person.conditions],
            "event_type": person.event_type,
            "events": len(found.events),
            "dead_letters": len(found.dead_letters),
            "places": [{"place": e.place, "kind": e.kind, "found": e.found} for e in rows],
        },
    )


def _look(erasing: Erasing, person: Person, reach: Reach, places: Collection[KeyPlace]) -> Found:
    err = error_console()
    columns = (TextColumn("Reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = reach.deep and err.is_terminal
    if reach.deep:
        err.print(f"Reading about {erasing.count():,} events")
    with Progress(*columns, console=err, disable=not shown, transient=True) as bar:
        task = bar.add_task("", total=erasing.count() if shown else None)
        return erasing.find(person, reach, places, lambda: bar.advance(task))


def _search(
    erasing: Erasing, person: Person, reach: Reach, names: Names, started: datetime
) -> Found:
    return erasing.find(person, replace(reach, until=started), names.places())


def _erase(core: Core, erasing: Erasing, found: Found, look: Callable[[], Found]) -> Erased:
    err = error_console()
    columns = (TextColumn("Erasing"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=len(found.events))
        mark = RecountMark(core.database)
        return erase(erasing, mark, found, look, lambda count: bar.advance(task, count))


def _count_again(core: Core, settings: Settings) -> None:
    now = utc_now()
    bounds = Bounds(now, retained_from(now, settings.cxone_retention_days))
    # Another rebuild that began later counts what is left as well.
    with suppress(Superseded):
        recount(ledger(core.database), bounds, lambda: False, lambda _: None, timedelta(0))


def _spooled(core: Core) -> dict[str, int]:
    """What waits on each host that told so: it can be searched there alone."""
    found: dict[str, int] = {}
    for row in Instances(core.database[mongo.INSTANCES]).all():
        depth = ((row.get("facts") or {}).get("spool") or {}).get("depth") or 0
        if depth:
            found[row["host"]] = found.get(row["host"], 0) + int(depth)
    return found
