"""Show what a subject's contract holds back, and what approving would do; then do it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from itertools import islice
from time import monotonic
from typing import Any
from urllib.parse import urlencode

from consumer.console.answers import Done, Invalid
from consumer.console.base import ROOT
from consumer.console.context import Context
from consumer.console.request import Request
from consumer.console.screens.schema_subject import common, head_of
from consumer.console.screens.schemas import held_by_subject
from consumer.console.wording import change_text
from consumer.core.errors import SchemaMoved
from consumer.core.paths import Path, from_text, to_text
from consumer.dead_letters.approval import ApprovalPlan
from consumer.privacy.rules import masked

# So many are planned at once when the page is opened; more when somebody asks for it.
_PLANNED = 200
_SHOWN = 50
_RECORDED = 1000
# Seconds that one press replays; what is left, the next press does.
_REPLAY_SECONDS = 20.0


def view(context: Context, request: Request) -> dict[str, Any]:
    """The plan of an approval, for the paths that the query names or for all."""
    head = head_of(context, request)
    waiting = held_by_subject(context).get(head.subject, 0)
    asked = _paths(request.query.all("path"))
    is_asked = bool(asked) or "plan" in request.query
    plan = None
    if is_asked or waiting <= _PLANNED:
        plan = context.approval.plan(head.subject, asked)
    return {
        **common(context, head),
        "tab": "held",
        "waiting": waiting,
        "plan": plan,
        "brings": masked(plan.draft.changes, context.redaction, head.subject) if plan else (),
        "breaks": context.judge.would_break(plan.draft.proposed) if plan else (),
        "changes": _signature(plan) if plan else "",
        "chosen": {to_text(path) for path in asked},
        "paths": _choices(context, plan) if plan else [],
        "stays": [(stay.entry_id, stay.text(_shown(context, plan))) for stay in plan.stays[:_SHOWN]]
        if plan
        else [],
    }


def _shown(context: Context, plan: ApprovalPlan) -> Callable[[Path], Path]:
    return partial(context.redaction.path, subject=plan.draft.subject)


def _choices(context: Context, plan: ApprovalPlan) -> list[tuple[str, int]]:
    """The held paths that may be chosen, for nothing hides their names, and how many wait."""
    shown = _shown(context, plan)
    return sorted((to_text(at), count) for at, count in plan.held.items() if shown(at) == at)


def act(context: Context, request: Request) -> Done:
    """Approve what the form shows, and nothing that came since: the form brings the version."""
    name = request.form.get("name", "")
    paths = _paths(request.form.all("path"))
    plan = context.approval.plan(name, paths)
    where = f"{ROOT}/schemas/held?{urlencode({'name': name})}"
    if str(plan.draft.at) != request.form.get("at"):
        return Done(where, f"The schema has moved to version {plan.draft.at}: look again.", "bad")
    if _signature(plan) != request.form.get("changes", ""):
        return Done(where, "Other changes are held by now: look again.", "bad")
    if plan.is_empty:
        return Done(where, "There is nothing to approve.", "info")
    request.record("schema approve", **_recorded(context, plan))
    try:
        version = context.approval.register(plan)
    except SchemaMoved as error:
        return Done(where, str(error), "bad")
    number = version.number if version else plan.draft.at
    message, is_whole = _replay(context, request, plan)
    return Done(
        where, f"“{name}” is at version {number}. {message}", "good" if is_whole else "info"
    )


def _replay(context: Context, request: Request, plan: ApprovalPlan) -> tuple[str, bool]:
    """Replay for a while; the message, and True where all of it was done."""
    end = monotonic() + _REPLAY_SECONDS
    counts: Counter[str] = Counter()
    is_whole = True
    for _, ended in context.approval.replay(plan, request.session.who):
        counts["processed" if ended.resolved else "still held back"] += 1
        if monotonic() > end:
            is_whole = False
            break
    done = ", ".join(f"{count:,} {word}" for word, count in counts.items()) or "none"
    message = f"Replayed: {done}."
    if not is_whole:
        message += " More wait: approve again to go on."
    return message, is_whole and not counts["still held back"]


def _paths(texts: list[str]) -> tuple[Path, ...]:
    try:
        return tuple(from_text(text) for text in texts if text)
    except ValueError as error:
        raise Invalid(str(error)) from error


def _signature(plan: ApprovalPlan) -> str:
    """A digest of what a plan would change, to see whether it is still what was shown."""
    text = "\n".join(change_text(change) for change in plan.draft.changes)
    return sha256(text.encode("utf-8", "replace")).hexdigest()


def _recorded(context: Context, plan: ApprovalPlan) -> dict[str, object]:
    subject, recorded = plan.draft.subject, context.redaction.recorded
    changed = (recorded(change.path, subject) for change in plan.draft.changes)
    return {
        "subject": subject,
        "version": plan.draft.at,
        "approved": [recorded(path, subject) for path in plan.paths],
        "changes": list(islice(changed, _RECORDED)),
        "entries": list(plan.entries),
        "count": plan.replays,
    }
