"""Retry or discard many dead letters: counted first, then step by step, each seen to its end.

The run stands in the form that goes on with it, sealed, so that no process has to remember it and
any can go on. Without JavaScript a person presses the button of each step.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from consumer.console.answers import Done, Invalid
from consumer.console.base import ROOT
from consumer.console.context import Context
from consumer.console.request import Fields, Request, to_mark
from consumer.console.screens.dead_letters import FIELDS, causes, dead_letter_filter
from consumer.console.wording import REASONS, STATUSES
from consumer.core.clock import utc_now
from consumer.dead_letters.bulk import Action, BulkRun, BulkRunner
from consumer.dead_letters.retry import DISCARDED, UNRESOLVED
from consumer.dead_letters.search import MOST_GROUPED, DeadLetterFilter

_MOST_BECAUSE = 1000
_NAMED = 1000
# Entries that can be ticked: as many as a list groups. Their ids stand in a form that goes on.
_MOST_TICKED = MOST_GROUPED
FORM_BYTES = 1024 * 1024
_ID = re.compile(r"[\w-]{1,64}", re.ASCII)


def view(context: Context, request: Request) -> dict[str, Any]:
    """The number it would be, by reason and status."""
    return _asked(context, request, request.query)


def _of_causes(context: Context, form: Fields) -> list[str]:
    """The letters of the causes that were ticked."""
    if not (ticked := set(form.all("cause"))):
        return []
    found = causes(context, dead_letter_filter(form), context.dead_letters.depths())
    ids = [_id for cause in found if cause.key in ticked for _id in cause.ids]
    if not ids:
        raise Invalid("No dead letter of this cause is left.")
    return ids


def _asked(
    context: Context, request: Request, fields: Fields, of_causes: Sequence[str] = ()
) -> dict[str, Any]:
    what = _what(fields)
    wanted = _wanted(fields, what, request.now, of_causes)
    counts = context.dead_letter_search.counts(wanted)
    return {
        "what": what,
        "counts": counts,
        "total": sum(count for _, _, count in counts),
        "fields": {name: fields[name] for name in FIELDS if fields.get(name)},
        "ids": " ".join(wanted.ids),
        "upto": to_mark(request.now),
        "statuses": STATUSES,
        "reasons": REASONS,
        "back": _back(fields),
        "run": None,
    }


def act(context: Context, request: Request) -> Done | dict[str, Any]:
    """Ask about those that were ticked, begin a run, or go on with one."""
    if "run" not in request.form and "upto" not in request.form:
        return _asked(context, request, request.form, _of_causes(context, request.form))
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
        "fields": {name: request.form[name] for name in FIELDS if request.form.get(name)},
        "ids": "",
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


def _wanted(
    fields: Fields, action: Action, upto: datetime, of_causes: Sequence[str] = ()
) -> DeadLetterFilter:
    """The entries that the list showed and this may be done to; none that came later."""
    wanted = dead_letter_filter(fields)
    allowed = (*UNRESOLVED, DISCARDED) if action == "retry" else UNRESOLVED
    statuses = tuple(each for each in wanted.statuses or UNRESOLVED if each in allowed)
    if not statuses:
        raise Invalid("What has ended stays as it is.")
    ids = tuple(dict.fromkeys([*_ID.findall(" ".join(fields.all("ids"))), *of_causes]))
    if len(ids) > _MOST_TICKED:
        raise Invalid(f"At most {_MOST_TICKED:,} can be ticked: name a reason instead.")
    return replace(wanted, ids=ids, statuses=statuses, first_until=upto)


def _back(fields: Fields) -> str:
    query = {name: fields[name] for name in FIELDS if fields.get(name)}
    return f"{ROOT}/dead-letters" + (f"?{urlencode(query)}" if query else "")


def _summary(run: BulkRun) -> str:
    word = "Discarded" if run.action == "discard" else "Retried"
    ended = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in run.ended.items())
    return f"{word} {run.done:,}: {ended}." if run.done else "There was nothing left to do."
