"""`schema signals`: the fields that vanished or were likely renamed, and what people say to it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from consumer.cli.console import console, print_json, table
from consumer.cli.context import AsJson
from consumer.cli.schema.shared import Context, head_of, opened
from consumer.core.errors import SetupError
from consumer.core.paths import to_text
from consumer.core.text import safe
from consumer.signals.signals import Signal, State, told

# By option; each says what becomes of signals.
_DONE: dict[State, str] = {
    "acknowledged": "Acknowledged: told again only when it has ended and comes anew",
    "muted": "Muted, and never told again: --unmute takes it back",
    "open": "Open again",
}

OfSubject = Annotated[str | None, typer.Argument(help="An event type; without one, all.")]
OfPath = Annotated[
    str | None, typer.Argument(metavar="[PATH]", help="The field, as it is written here.")
]


def signals(
    ctx: typer.Context,
    subject: OfSubject = None,
    path: OfPath = None,
    *,
    acknowledge: Annotated[
        bool, typer.Option("--acknowledge", help="You know: it is told no more while it goes on.")
    ] = False,
    mute: Annotated[
        bool,
        typer.Option("--mute", help="Never tell of these again, nor that they break a reader."),
    ] = False,
    unmute: Annotated[
        bool, typer.Option("--unmute", help="Take back --mute or --acknowledge.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that ended or are muted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show fields that vanished, and fields that were likely renamed with the line that keeps
    programs downstream going."""
    from consumer.signals.store import Signals

    options: dict[State, bool] = {"acknowledged": acknowledge, "muted": mute, "open": unmute}
    asked = [state for state, wanted in options.items() if wanted]
    if len(asked) > 1:
        raise typer.BadParameter("one of --acknowledge, --mute and --unmute")
    if asked and subject is None:
        raise typer.BadParameter("name the event type to decide about", param_hint="SUBJECT")
    with opened(ctx) as context:
        store = Signals(context.shared.database)
        known = store.of(subject, ended=everything or subject is not None)
        found = [each for each in known if path in (None, _shown(each, context))]
        if path is None and asked in (["acknowledged"], ["muted"]):
            found = [each for each in found if _stands(each)]
        if subject is not None and not found:
            head_of(context.shared, subject)
            if asked or path is not None:
                where = f" at {path}" if path else ""
                raise SetupError(f'"{subject}" has no signal{where}: `schema signals` lists them')
        if asked:
            context.record(
                f"schema signals {asked[0]}",
                subject=subject,
                changes=[context.hidden.recorded(e.path, e.subject) for e in found],
            )
            store.decide(found, asked[0])
            found = store.of(subject, ended=True)
    listed = [each for each in found if everything or _stands(each)]
    if as_json:
        print_json({"signals": [_document(each, context) for each in listed]})
        return
    if asked:
        console().print(f"{_DONE[asked[0]]}.")
    _print(listed, context)


def _stands(signal: Signal) -> bool:
    return signal.holds and signal.state != "muted"


def _shown(signal: Signal, context: Context) -> str:
    return to_text(context.hidden.path(signal.path, signal.subject))


def _document(signal: Signal, context: Context) -> dict[str, object]:
    return {
        "subject": signal.subject,
        "kind": signal.kind,
        "since": signal.since,
        "last_seen": signal.last_seen,
        "ended_at": signal.ended_at,
        "state": signal.state,
        "score": signal.score,
        "figures": signal.figures,
        **asdict(told(signal, context.hidden)),
    }


def _print(listed: list[Signal], context: Context) -> None:
    out = console()
    if not listed:
        out.print("No signals: no field is known to have vanished or been renamed.")
        return
    rows = [
        (
            each.subject,
            each.kind,
            _shown(each, context),
            each.since,
            "ended" if each.ended_at else each.state,
        )
        for each in listed
    ]
    out.print(table(("subject", "signal", "field", "since", "state"), rows, title="Signals"))
    for each in listed:
        words = told(each, context.hidden)
        out.print(safe(f"\n{each.subject} {words.path}: {words.sentence}."), soft_wrap=True)
        if words.warning:
            out.print(safe(f"  {words.warning}."), soft_wrap=True, style="yellow")
        if words.alias:
            out.print(safe(f"  {words.alias}"), soft_wrap=True, style="bold")
