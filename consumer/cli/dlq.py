"""`dlq`: look at dead letters and try them again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from consumer.cli.console import console, print_json, safe, shown, table
from consumer.cli.context import load_settings
from consumer.clock import utc_now
from consumer.errors import SetupError
from consumer.hexdump import hexdump
from consumer.replay import Replay, Replayed
from consumer.runtime import Core, open_core
from consumer.schema.paths import to_text
from consumer.storage.dead_letters import OPEN

app = typer.Typer(no_args_is_help=True)

_SHOWN_BYTES = 4096

Entry = dict[str, Any]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Reason = Annotated[str | None, typer.Option(help="Only entries of this reason.")]


@app.command("list")
def list_entries(
    ctx: typer.Context,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many entries.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show how many there are by reason, and the last seen ones."""
    with _core(ctx) as core:
        groups = core.dead_letters.summary()
        entries = list(core.dead_letters.find({"reason": reason} if reason else {}, limit))
    if as_json:
        print_json({"groups": groups, "entries": [_brief(entry) for entry in entries]})
        return
    out = console()
    if not groups:
        out.print("No dead letters.")
        return
    out.print(
        table(
            ("reason", "status", "entries", "seen", "oldest", "last seen"),
            [
                (
                    group["_id"]["reason"],
                    group["_id"]["status"],
                    group["count"],
                    group["seen"],
                    group["oldest"],
                    group["newest"],
                )
                for group in groups
            ],
            title="Dead letters by reason",
        )
    )
    out.print(
        table(
            ("id", "reason", "status", "type", "seen", "last seen", "error"),
            [
                (
                    entry["_id"],
                    entry["reason"],
                    entry["status"],
                    entry.get("event_type"),
                    entry["seen"],
                    entry["last_seen"],
                    entry.get("diagnosis") or entry["error_message"],
                )
                for entry in entries
            ],
            title=f"Last seen ({len(entries)})",
        )
    )


@app.command()
def show(
    ctx: typer.Context,
    entry_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, or how that begins.")],
    as_json: AsJson = False,
) -> None:
    """Show one entry: why it is here, what was tried, and its bytes."""
    with _core(ctx) as core:
        entry = _one(core, entry_id)
    body = bytes(entry["original_payload"])
    if as_json:
        print_json(
            {
                **_brief(entry),
                "headers": entry["headers"],
                "history": entry["history"],
                "changes": entry.get("changes"),
                "original_payload": body.decode("latin-1"),
            }
        )
        return
    out = console()
    rows = [(name, value) for name, value in _brief(entry).items() if value is not None]
    rows += [(f"header {name}", value) for name, value in entry["headers"].items()]
    out.print(table(("field", "value"), rows, title=f"Dead letter {entry['_id']}"))
    for attempt in entry["history"]:
        out.print(safe(f"{shown(attempt['at'])}  {attempt['by']}: {attempt['result']}"))
    for change in entry.get("changes") or []:
        out.print(safe(f"would change: {_change(change)}"))
    out.print(f"Body, {len(body)} bytes:")
    # The payload comes from outside: what it holds must not reach the terminal as commands.
    out.print(safe(body[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")))
    if len(body) > _SHOWN_BYTES:
        out.print(f"… and {len(body) - _SHOWN_BYTES} bytes more")
    out.print(hexdump(body, None, 64))


@app.command()
def retry(
    ctx: typer.Context,
    entry_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids, or how they begin.")
    ] = None,
    reason: Reason = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are not resolved.")] = False,
    as_json: AsJson = False,
) -> int:
    """Send entries the way of a delivery again, with the settings as they are now."""
    if not entry_ids and not reason and not everything:
        raise typer.BadParameter("give ids, --reason REASON, or --all")
    with _core(ctx) as core:
        replay = Replay(core.ingest, core.dead_letters, utc_now)
        results = [
            (entry["_id"], entry["reason"], replay.entry(entry, "command line"))
            for entry in _chosen(core, entry_ids or [], reason)
        ]
    if as_json:
        print_json(
            [
                {"id": _id, "reason": was, "resolved": done.resolved, "result": done.result}
                for _id, was, done in results
            ]
        )
    elif not results:
        console().print("No entries to retry.")
    else:
        console().print(_retried(results))
    return 0 if all(done.resolved for _, _, done in results) else 1


def _retried(results: list[tuple[str, str, Replayed]]) -> Any:
    rows = [
        (_id, was, "resolved" if done.resolved else "stays", done.result, done.message)
        for _id, was, done in results
    ]
    return table(("id", "reason", "entry", "result", "error"), rows, title="Retried")


def _chosen(core: Core, entry_ids: list[str], reason: str | None) -> Iterator[Entry]:
    if entry_ids:
        yield from (_one(core, entry_id) for entry_id in entry_ids)
        return
    wanted: dict[str, Any] = {"status": {"$in": list(OPEN)}}
    if reason:
        wanted["reason"] = reason
    yield from core.dead_letters.find(wanted)


def _one(core: Core, prefix: str) -> Entry:
    found = core.dead_letters.by_prefix(prefix.lower()) if prefix else []
    if len(found) == 1:
        return found[0]
    what = "more than one dead letter begins" if found else "no dead letter begins"
    raise SetupError(f"{what} with {prefix!r}: `cxone-consumer dlq list` shows their ids")


def _brief(entry: Entry) -> Entry:
    names = (
        "_id", "reason", "status", "error_message", "diagnosis", "event_type", "event_id",
        "delivery_id", "seen", "timestamp", "last_seen", "retry_count", "digest",
    )  # fmt: skip
    brief = {name: entry.get(name) for name in names}
    return {**brief, "bytes": len(entry["original_payload"])}


def _change(change: Entry) -> str:
    """`type_conflict case.priority: integer -> integer | string`."""
    was = "-" if change["from"] is None else " | ".join(change["from"]) or "null"
    now = " | ".join(change["to"]) or "null"
    return f"{change['class']} {to_text(tuple(change['path']))}: {was} -> {now}"


@contextmanager
def _core(ctx: typer.Context) -> Iterator[Core]:
    with open_core(load_settings(ctx)) as core:
        yield core
