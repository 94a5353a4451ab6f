"""`dlq retry`: send dead letters the way of a delivery again, counted first and resumable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from consumer.cli.console import console, error_console, print_json, table
from consumer.cli.context import AsJson
from consumer.cli.dlq.entries import (
    Context,
    EntryIds,
    Everything,
    OlderThan,
    Reason,
    Status,
    filters,
    found,
    one,
    opened,
    print_choice,
)
from consumer.cli.options import DryRun, EventType, FromSource
from consumer.core.errors import SetupError

if TYPE_CHECKING:
    from consumer.dead_letters.replay import Replayed

    _Result = tuple[str, str, Replayed]

# More rows than a person reads are counted instead.
_MAX_ROWS = 100


def retry(
    ctx: typer.Context,
    entry_ids: EntryIds = None,
    *,
    reason: Reason = None,
    event_type: EventType = None,
    status: Status = None,
    older_than: OlderThan = None,
    source: FromSource = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    as_source: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Take them in as this source's, unproven ones too."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Send entries the way of a delivery again, with the settings as they are now.

    With --as-source you answer for them: they are another source's from then on, and one whose
    proof was refused is not verified again. The audit says who did it.

    An interrupted one is resumed by the same command: what is resolved is not tried again.

    Exit status: 0 all are resolved, 1 some stay, 130 interrupted.
    """
    chosen = filters(reason, event_type, status, older_than, source)
    if not entry_ids and not chosen and not everything:
        raise typer.BadParameter("give ids, --all, or a filter like --reason REASON")
    with opened(ctx) as context:
        named = [source.name for source in context.shared.sources]
        if as_source is not None and as_source not in named:
            raise typer.BadParameter(
                f"--as-source takes a source of the settings: {', '.join(named)}"
            )
        chosen_ones = found(context, entry_ids or [], chosen)
        if dry_run:
            print_choice(chosen_ones, "tried", as_json=as_json)
            return 0
        if chosen_ones:
            given = {"as_source": as_source} if as_source else {}
            if given:
                context.shared.sources.admit()
            context.record("dlq retry", [_id for _id, _ in chosen_ones], **given)
        results, interrupted = _replay(context, chosen_ones, as_source)
    _print_results(results, len(chosen_ones), as_json=as_json)
    if interrupted:
        error_console().print("Interrupted: the same command goes on with the rest.")
        return 130
    return 0 if all(done.resolved for _, _, done in results) else 1


def _replay(
    context: Context, chosen: Sequence[tuple[str, str]], as_source: str | None
) -> tuple[list[_Result], bool]:
    """Results in order, and whether Ctrl-C ended it early; an entry is finished or untouched."""
    replay = context.shared.replay
    results: list[_Result] = []
    err = error_console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    err.print(f"{len(chosen)} entries to try")
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        task = progress.add_task("trying", total=len(chosen))
        try:
            for _id, reason in chosen:
                try:
                    entry = one(context.shared, _id)
                except SetupError:
                    # It expired meanwhile.
                    continue
                done = replay.entry(entry, f"{context.who} (dlq retry)", as_source=as_source)
                results.append((_id, reason, done))
                progress.advance(task)
        except KeyboardInterrupt:
            return results, True
    return results, False


def _print_results(results: Sequence[_Result], total: int, *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"id": _id, "reason": was, "resolved": done.resolved, "result": done.result}
            for _id, was, done in results
        ]
        print_json({"entries": rows})
        return
    if not total:
        console().print("No entries to retry.")
        return
    console().print(_table(results))


def _table(results: Sequence[_Result]) -> Any:
    if len(results) > _MAX_ROWS:
        counts = Counter((done.resolved, done.result) for _, _, done in results)
        rows: list[tuple[object, ...]] = [
            ("resolved" if resolved else "stays", result, count)
            for (resolved, result), count in counts.most_common()
        ]
        return table(("entry", "result", "entries"), rows, title=f"Retried {len(results)}")
    rows = [
        (_id, was, "resolved" if done.resolved else "stays", done.result, done.message)
        for _id, was, done in results
    ]
    return table(("id", "reason", "entry", "result", "error"), rows, title="Retried")
