"""`events erase`: remove a person from all that is stored, and report what went and what stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from config.environment import user_name
from config.loading import Settings
from consumer.cli.console import console, error_console, print_json, table
from consumer.cli.context import AsJson, load_settings, open_shared
from consumer.cli.options import DryRun, EventType, Yes, confirmed
from consumer.core.clock import utc_now
from consumer.core.paths import Path, to_text

if TYPE_CHECKING:
    from consumer.monitoring.instances import Instances
    from consumer.privacy.erasure import ErasureResult, PersonNames, ReportRow
    from consumer.privacy.person_query import KeyPlace, Person
    from consumer.privacy.person_records import FoundRecords, PersonRecords, SearchScope
    from consumer.runtime.shared import SharedParts


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
    event_type: EventType = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every event, for JSON inside its strings.")
    ] = False,
    also_unknown: Annotated[
        bool,
        typer.Option("--also-unknown", help="With --type: dead letters of no known type, too."),
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
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
    from consumer.privacy.erasure import record_rows, spool_rows
    from consumer.privacy.person_records import PersonRecords, SearchScope

    settings = load_settings(ctx)
    person = _person(settings, ids or [], where or [], event_type)
    scope = SearchScope(deep=deep, also_unknown=also_unknown)
    with open_shared(settings) as shared:
        person = replace(person, aliases=_aliases(shared) if person.conditions else {})
        names = _names(shared, settings, person)
        records = PersonRecords(
            shared.database,
            shared.sources.main.parser.type_of,
            by_subject=settings.cxone_schema_scope == "type",
            as_sent=names.as_sent,
            identify=shared.sources.identify,
        )
        found = _find(records, person, scope, names.key_places())
        beside = partial(spool_rows, settings.cxone_data_dir, records, person, scope)
        named, waiting = names.find(found.keys), list(beside(remove=False))
        rows = [*record_rows(found, None), *names.untouched_rows(named), *waiting]
        erased = None
        if not dry_run and (found or named or any(each.theirs for each in waiting)):
            if not yes:
                error_console().print(places_table(rows))
            if not confirmed("Erase them for good?", yes=yes):
                error_console().print("Nothing was erased: --yes does it without asking.")
                return 1
            _audit(shared, person, found, rows)
            # What would be filled in or come back goes first, the search for what is left last.
            rows = [*beside(remove=True), *names.erase(found.keys)]
            erased = _erase(
                shared,
                records,
                found,
                partial(_find_again, records, person, scope, names, utc_now()),
            )
            if later := erased.all.keys - found.keys:
                rows += names.erase(later)
            _count_again(shared, settings)
            rows = [*record_rows(found, erased), *rows]
        elsewhere = _spooled(shared)
    print_report(found, erased, rows, elsewhere, as_json=as_json, deep=deep)
    return 0


def _person(
    settings: Settings, ids: Sequence[str], where: Sequence[str], event_type: str | None
) -> Person:
    from consumer.events.matching import Condition, read_condition, read_path, read_value
    from consumer.privacy.person_query import Person

    if bool(ids) == bool(where):
        raise typer.BadParameter("name the events by --id, or by --where: one of the two")
    id_path = read_path(_field(settings.id_field))
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


def _aliases(shared: SharedParts) -> dict[str, frozenset[tuple[Path, Path]]]:
    registry = shared.registry
    registry.refresh_aliases()
    found = {subject: registry.aliased(subject) for subject in registry.subjects()}
    return {subject: pairs for subject, pairs in found.items() if pairs}


def _names(shared: SharedParts, settings: Settings, person: Person) -> PersonNames:
    from consumer.mongodb.client import INSTANCES
    from consumer.monitoring.instances import Instances
    from consumer.privacy.erasure import PersonNames
    from consumer.privacy.name_erasure import NameErasure

    only = person.event_type
    if only is not None and settings.cxone_schema_scope != "type":
        # The one schema is that of the other types too.
        only = ""
    database = shared.database
    return PersonNames(NameErasure(database, shared.registry), shared.registry, person, only,
                 lambda: _await_other_processes(Instances(database[INSTANCES])))  # fmt: skip


def _await_other_processes(instances: Instances) -> None:
    """Wait until the processes that run know the newest versions."""
    from consumer.monitoring.instances import BEAT_EVERY, SILENT_AFTER

    if any(row["silent"] < SILENT_AFTER for row in instances.all()):
        time.sleep(BEAT_EVERY + 1)


def _audit(
    shared: SharedParts, person: Person, found: FoundRecords, rows: Sequence[ReportRow]
) -> None:
    """Before the deed, and without the values: those are what must be gone."""
    from consumer.mongodb.client import AUDIT
    from consumer.monitoring.audit import Audit

    Audit(shared.database[AUDIT]).record(
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


def _find(
    records: PersonRecords, person: Person, scope: SearchScope, places: Collection[KeyPlace]
) -> FoundRecords:
    err = error_console()
    columns = (TextColumn("Reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = scope.deep and err.is_terminal
    if scope.deep:
        err.print(f"Reading about {records.count():,} events")
    with Progress(*columns, console=err, disable=not shown, transient=True) as bar:
        task = bar.add_task("", total=records.count() if shown else None)
        return records.find(person, scope, places, lambda: bar.advance(task))


def _find_again(
    records: PersonRecords,
    person: Person,
    scope: SearchScope,
    names: PersonNames,
    started: datetime,
) -> FoundRecords:
    return records.find(person, replace(scope, until=started), names.key_places())


def _erase(
    shared: SharedParts,
    records: PersonRecords,
    found: FoundRecords,
    look: Callable[[], FoundRecords],
) -> ErasureResult:
    from consumer.adoption.state import RecountMark
    from consumer.privacy.erasure import erase

    err = error_console()
    columns = (TextColumn("Erasing"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=len(found.events))
        mark = RecountMark(shared.database)
        return erase(records, mark, found, look, lambda count: bar.advance(task, count))


def _count_again(shared: SharedParts, settings: Settings) -> None:
    from consumer.adoption.counts import Superseded
    from consumer.adoption.rollup import Bounds, adoption_stores, recount
    from consumer.mongodb.retention import retained_from

    now = utc_now()
    bounds = Bounds(now, retained_from(now, settings.cxone_retention_days))
    # Another rebuild that began later counts what is left as well.
    with suppress(Superseded):
        recount(
            adoption_stores(shared.database), bounds, lambda: False, lambda _: None, timedelta(0)
        )


def _spooled(shared: SharedParts) -> dict[str, int]:
    """The number of deliveries that wait on each host: they can be searched there alone."""
    from consumer.mongodb.client import INSTANCES
    from consumer.monitoring.instances import Instances

    found: dict[str, int] = {}
    for row in Instances(shared.database[INSTANCES]).all():
        depth = ((row.get("facts") or {}).get("spool") or {}).get("depth") or 0
        if depth:
            found[row["host"]] = found.get(row["host"], 0) + int(depth)
    return found


def print_report(
    found: FoundRecords,
    erased: ErasureResult | None,
    rows: Sequence[ReportRow],
    spooled: dict[str, int],
    *,
    as_json: bool,
    deep: bool,
) -> None:
    """Print the end of each place; `erased` is None where nothing was to be. `spooled` counts what
    waits on other machines."""
    from consumer.privacy.erasure import ReportRow

    last = erased.left if erased else found
    rows = [
        *rows,
        *(
            ReportRow(
                f"spool on {host}",
                "deliveries",
                depth,
                0,
                depth,
                "not searched from here",
                theirs=False,
            )
            for host, depth in sorted(spooled.items())
        ),
    ]
    if as_json:
        facts: dict[str, Any] = {
            "found": {
                "events": dict(found.subjects),
                "dead_letters": dict(found.reasons),
                "unreadable": found.by_text,
                "more": found.more,
            },
            "erased": {"events": erased.events, "dead_letters": erased.dead_letters}
            if erased
            else None,
            "spooled": spooled,
            "places": rows,
            "unread": last.unread,
            "untyped": last.untyped,
            "deep": {"documents": found.read, "seconds": round(found.seconds, 3)} if deep else None,
        }
        print_json(facts)
        return
    out = console()
    if rows:
        out.print(places_table(rows, "Found, and there is more" if found.more else ""))
    if erased is None and not any(each.theirs for each in rows):
        out.print("Nothing is kept that fits.")
    elif erased is None:
        out.print("Nothing was erased: without --dry-run it would be.")
    else:
        out.print(
            f"Erased: {erased.events:,} of the events, {erased.dead_letters:,} of the dead letters."
            " Adoption is counted without them."
        )
    for host, depth in sorted(spooled.items()):
        error_console().print(
            f"{depth:,} deliveries wait in the spool on {host}, unsearched:"
            " run this again once they are drained"
        )
    if deep:
        error_console().print(f"{found.read:,} events were read in {found.seconds:,.1f} s")
    else:
        error_console().print(
            "JSON inside strings of events was not looked into: --deep does, and reads every event"
        )


def places_table(rows: Sequence[ReportRow], title: str = "") -> Group:
    """One row for each place and kind."""
    return table(
        ("place", "what", "found", "removed", "stays", ""),
        [(e.place, e.kind, e.found, e.removed, e.stays, e.why) for e in rows],
        title=title,
    )
