"""Retry or discard many dead letters: counted first, then step by step, each seen to its end.

The run stands in the form that goes on with it, sealed, so that no process has to remember it and
any can go on. Without JavaScript a person presses the button of each step.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from consumer.console.answers import Done, Invalid
from consumer.console.base import ROOT
from consumer.console.context import Context
from consumer.console.request import Fields, Request, to_mark
from consumer.console.screens.dead_letters import dead_letter_filter
from consumer.console.wording import REASONS, STATUSES
from consumer.core.clock import utc_now
from consumer.dead_letters.bulk import Action, BulkRun, BulkRunner
from consumer.dead_letters.retry import DISCARDED, UNRESOLVED
from consumer.dead_letters.search import DeadLetterFilter

_MOST_BECAUSE = 1000
_NAMED = 1000
_FIELDS = ("reason", "status", "type", "source", "from", "to")


def view(context: Context, request: Request) -> dict[str, Any]:
    """The number it would be, by reason and status."""
    what = _what(request.query)
    wanted = _wanted(request.query, what, request.now)
    counts = context.dead_letter_search.counts(wanted)
    return {
        "what": what,
        "counts": counts,
        "total": sum(count for _, _, count in counts),
        "fields": {name: request.query[name] for name in _FIELDS if request.query.get(name)},
        "upto": to_mark(request.now),
        "statuses": STATUSES,
        "reasons": REASONS,
        "back": _back(request.query),
        "run": None,
    }


def act(context: Context, request: Request) -> Done | dict[str, Any]:
    """Begin a run, or go on with one."""
    run = _started(context, request) if "run" not in request.form else _resumed(request)
    by = f"{request.session.who} (dlq {run.action})"
    bulk = BulkRunner(
        context.dead_letter_search, context.dead_letters.claims, context.replay, utc_now
    )
    run = bulk.step(run, by)
    if run.over:
        return Done(_back(request.form), _summary(run), "good")
    text = run.dump()
    return {
        "what": run.action,
        "run": run,
        "run_text": text,
        "seal": request.seal(text),
        "fields": {name: request.form[name] for name in _FIELDS if request.form.get(name)},
        "back": _back(request.form),
        "total": run.total,
    }


def _started(context: Context, request: Request) -> BulkRun:
    """A new run, written down before it does anything."""
    what = _what(request.form)
    upto = request.form.mark("upto")
    because = request.form.get("because", "").strip()[:_MOST_BECAUSE]
    if upto is None:
        raise Invalid("The form cannot be read.")
    if what == "discard" and not because:
        raise Invalid("Say why they are discarded: whoever looks for them later will want to know.")
    wanted = _wanted(request.form, what, upto)
    total = sum(count for _, _, count in context.dead_letter_search.counts(wanted))
    if total > request.form.number("total", 0, most=10**9):
        raise Invalid("There are more by now than you were shown: look again.")
    named = context.dead_letter_search.following(wanted, "", _NAMED)
    about: dict[str, Any] = {"reason": wanted.reason, "event_type": wanted.event_type}
    about["because"] = because
    if wanted.source:
        about["source"] = wanted.source
    and_copies = what == "discard" and "and_copies" in request.form
    if what == "discard":
        about["and_copies"] = and_copies
    request.record(f"dlq {what}", entries=named, count=total, **about)
    return BulkRun(what, wanted, total, because, and_copies)


def _resumed(request: Request) -> BulkRun:
    text = request.form["run"]
    if not hmac.compare_digest(request.seal(text), request.form.get("seal", "")):
        raise Invalid("The form is none of this session: begin again.")
    return BulkRun.load(text)


def _what(fields: Fields) -> Action:
    return "discard" if fields.get("what") == "discard" else "retry"


def _wanted(fields: Fields, action: Action, upto: datetime) -> DeadLetterFilter:
    """The entries that the list showed and this may be done to; none that came later."""
    wanted = dead_letter_filter(fields)
    allowed = (*UNRESOLVED, DISCARDED) if action == "retry" else UNRESOLVED
    statuses = tuple(each for each in wanted.statuses or UNRESOLVED if each in allowed)
    if not statuses:
        raise Invalid("What has ended stays as it is.")
    return replace(
        wanted,
        statuses=statuses,
        since=fields.time("from"),
        until=fields.time_before("to"),
        first_until=upto,
    )


def _back(fields: Fields) -> str:
    query = {name: fields[name] for name in _FIELDS if fields.get(name)}
    return f"{ROOT}/dead-letters" + (f"?{urlencode(query)}" if query else "")


def _summary(run: BulkRun) -> str:
    word = "Discarded" if run.action == "discard" else "Retried"
    ended = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in run.ended.items())
    return f"{word} {run.done:,}: {ended}." if run.done else "There was nothing left to do."
