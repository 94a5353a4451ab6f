"""`schema approve`: show what the contract holds, register it, and replay what waited for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from config.environment import user_name
from consumer.cli.console import console, error_console, print_json, table
from consumer.cli.context import AsJson
from consumer.cli.options import Yes, confirmed
from consumer.cli.schema.breaches import breach_document, print_breaches
from consumer.cli.schema.diff import document, print_changes
from consumer.cli.schema.shared import Subject, head_of, opened
from consumer.core.paths import Path, from_text, to_text
from consumer.core.text import safe
from consumer.privacy.rules import Redaction, masked
from consumer.schemas.model import Change

if TYPE_CHECKING:
    from consumer.dead_letters.approval import Approval, ApprovalPlan
    from consumer.readers.verdicts import Breach

_SHOWN = 20
_RECORDED = 1000


def approve(
    ctx: typer.Context,
    subject: Subject,
    path: Annotated[
        list[str] | None,
        typer.Option(help="Only deliveries whose held changes are at or below these paths."),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Register what held deliveries bring, as one version, and replay them.

    Without --yes it asks first; where nobody can answer it only shows. It can be run again at any
    time: what is done stays done, and what was interrupted is finished.

    Exit status: 0 all of it is done, 1 something was not.
    """
    paths = _paths(path or [])
    with opened(ctx) as context:
        head_of(context.shared, subject)
        approval = context.approval()
        plan = approval.plan(subject, paths)
        changes = masked(plan.draft.changes, context.hidden, subject)
        breaks = context.judge().would_break(plan.draft.proposed)
        if not as_json:
            _print_plan(plan, changes, breaks, context.hidden)
        wanted = not plan.is_empty and confirmed("Register and replay?", yes=yes)
        if wanted:
            context.record("schema approve", **_audit_details(plan, changes, context.hidden))
        done, results = _carry_out(approval, plan) if wanted else (None, [])
    stays = [result for result in results if not result["resolved"]]
    if as_json:
        outcome = {"applied": wanted, "registered": done, "results": results}
        broken = {"breaks": list(map(breach_document, breaks))}
        print_json({**_document(plan, changes, context.hidden), **broken, **outcome})
    elif wanted:
        _print_results(plan, done, results)
    elif not plan.is_empty:
        console().print("Nothing was changed: add --yes to do it.")
    return 0 if (wanted or plan.is_empty) and not stays else 1


def _paths(texts: list[str]) -> list[Path]:
    try:
        return [from_text(text) for text in texts]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--path") from error


def _audit_details(
    plan: ApprovalPlan, changes: Sequence[Change], masks: Redaction
) -> dict[str, object]:
    subject = plan.draft.subject
    changed = [masks.recorded(change.path, subject) for change in changes]
    return {
        "subject": subject,
        "version": plan.draft.at,
        "approved": [masks.recorded(path, subject) for path in plan.paths],
        "changes": changed[:_RECORDED],
        "entries": list(plan.entries),
        "count": plan.replays,
    }


def _carry_out(approval: Approval, plan: ApprovalPlan) -> tuple[int | None, list[dict[str, Any]]]:
    """Register and replay: the version that knows it all now, and the end of each entry."""
    err = error_console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    version = approval.register(plan)
    results = []
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        task = progress.add_task("replaying", total=plan.replays)
        for entry_id, ended in approval.replay(plan, user_name()):
            progress.advance(task)
            results.append(
                {
                    "id": entry_id,
                    "resolved": ended.resolved,
                    "result": ended.result,
                    "message": ended.message,
                }
            )
    return version.number if version else None, results


def _held(plan: ApprovalPlan, masks: Redaction) -> dict[str, int]:
    """Count the deliveries that each held path keeps waiting."""
    counts: Counter[str] = Counter()
    for path, count in sorted(plan.held.items()):
        counts[to_text(masks.path(path, plan.draft.subject))] += count
    return counts


def _stays(plan: ApprovalPlan, masks: Redaction) -> list[tuple[str, str]]:
    shown = partial(masks.path, subject=plan.draft.subject)
    return [(stay.entry_id, stay.text(shown)) for stay in plan.stays]


def _print_plan(
    plan: ApprovalPlan, changes: Sequence[Change], breaks: Sequence[Breach], masks: Redaction
) -> None:
    out = console()
    subject = plan.draft.subject
    if plan.draft.is_new:
        title = f"Would become version {plan.draft.at + 1} of {subject}"
        print_changes(out, changes, title)
        print_breaches(out, breaks)
    if not plan.is_empty:
        out.print(f"Would replay {plan.replays:,} held deliveries.")
    elif not plan.left:
        out.print(safe(f"Nothing is held for {subject}."))
    else:
        out.print(safe(f"Nothing to approve for {subject}."))
    if plan.left:
        stays = _stays(plan, masks)[:_SHOWN]
        title = f"Stay held: {plan.left:,}"
        out.print(table(("dead letter", "because"), stays, title=title))
        if plan.left > len(stays):
            out.print(f"and {plan.left - len(stays):,} more")
    if plan.paths and plan.left:
        waits = list(_held(plan, masks).items())
        out.print(table(("held path", "deliveries"), waits, title="What can be approved"))


def _print_results(plan: ApprovalPlan, version: int | None, results: list[dict[str, Any]]) -> None:
    out = console()
    if plan.draft.is_new:
        out.print(safe(f"{plan.draft.subject} is at version {version} now."))
    counts = Counter(result["result"] for result in results)
    ended = ", ".join(f"{count:,} {word}" for word, count in counts.most_common()) or "none"
    out.print(f"Replayed: {ended}.")
    stays = [(each["id"], each["result"], each["message"]) for each in results
             if not each["resolved"]]  # fmt: skip
    if stays:
        out.print(table(("dead letter", "reason", "error"), stays[:_SHOWN], title="Stay"))


def _document(plan: ApprovalPlan, changes: Sequence[Change], masks: Redaction) -> dict[str, Any]:
    return {
        "subject": plan.draft.subject,
        "at": plan.draft.at,
        "changes": [document(change) for change in changes],
        "replays": plan.replays,
        "entries": list(plan.entries),
        "left": plan.left,
        "stays": [{"id": _id, "because": because} for _id, because in _stays(plan, masks)],
        "held_paths": _held(plan, masks),
    }
