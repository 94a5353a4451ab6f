"""Show the programs that are pinned to versions, with their views; pin one, or end a pin."""

from __future__ import annotations

import json
from typing import Any

from consumer.console.answers import Done, Invalid
from consumer.console.base import ROOT
from consumer.console.context import Context
from consumer.console.pagination import OffsetPage
from consumer.console.request import Fields, Request
from consumer.core.errors import SetupError
from consumer.core.paths import Path, from_text, to_text
from consumer.readers.judge import Tally
from consumer.readers.pins import Pin, check_reader
from consumer.readers.views import role

_PAGE = 50
_SHOWN = 10
_HERE = f"{ROOT}/readers"


def view(context: Context, request: Request) -> dict[str, Any]:
    """A page of pins, and what a new one may name."""
    heads, kinds = context.registry.subjects(), context.views.kinds()
    tallies = context.tallies()
    page = OffsetPage.of(request, _PAGE)
    found = context.views.pins.all()
    shown = found[page.skip :]
    return {
        "pins": [
            {
                **_row(context, pin, heads, kinds, tallies.get(pin.subject, Tally())),
            }
            for pin in page.rows(shown)
        ],
        "links": page.links(request, shown),
        "subjects": sorted(heads),
        "name": request.query.get("name", ""),
    }


def act(context: Context, request: Request) -> Done:
    """Make the pin that the form says, or end one."""
    reader, subject = request.form.get("reader", ""), request.form.get("name", "")
    try:
        check_reader(reader)
        if request.form.get("do") == "unpin":
            return _unpin(context, request, reader, subject)
        return _pin(context, request, reader, subject)
    except (ValueError, SetupError) as error:
        raise Invalid(str(error)) from error


def _pin(context: Context, request: Request, reader: str, subject: str) -> Done:
    form = request.form
    head = context.registry.refreshed(subject) if subject else None
    named = form.get("version", "").strip()
    # What is no number is no version, and not the newest one.
    number = form.number("version", 0, most=10**9) if named else head.number if head else 0
    version = context.registry.version(subject, number) if head else None
    if version is None:
        named = named[:20] or str(number)
        raise Invalid(f"There is no version {named} of a schema “{subject[:200]}”.")
    uses = _paths(form)
    unknown = set(uses) - {field.path for field in version.live}
    if unknown:
        raise Invalid(f"Version {number} has no field {to_text(min(unknown))}.")
    pin = context.views.pins.made(
        reader,
        version,
        context.schema_policy.of(subject).defaults,
        at=request.now,
        by=request.session.who,
        uses=uses,
        mismatch="keep" if form.get("mismatch") == "keep" else "null",
        redact="redact" in form,
    )
    newest = head.number if head else number
    broken = context.judge.standing(subject, newest, [pin])
    if broken and "broken" not in form:
        paths = list(dict.fromkeys(to_text(each.path) for each in broken))
        raise Invalid(
            f"As seen from version {number} it is broken already: {_first(paths)}. Pin it to a"
            " newer version, name what it uses, or tick that it is pinned all the same."
        )
    request.record("schema pin", subject=subject, reader=reader, version=number)
    context.views.pin(pin)
    hidden = [
        to_text(context.redaction.path(each.path, subject))
        for each in context.views.projection(pin).not_shown
    ]
    left = f" Not shown: {_first(hidden)}." if hidden else ""
    return Done(_HERE, f"“{reader}” reads version {number} in the view {pin.view}.{left}", "good")


def _unpin(context: Context, request: Request, reader: str, subject: str) -> Done:
    pin = context.views.pins.get(reader, subject)
    if pin is None:
        return Done(_HERE, "There is no such pin any more.", "info")
    request.record("schema unpin", subject=subject, reader=reader, version=pin.version)
    context.views.unpin(pin, request.now)
    return Done(_HERE, f"The view {pin.view} is dropped.", "good")


def _first(paths: list[str]) -> str:
    more = f" and {len(paths) - _SHOWN:,} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more


def _paths(form: Fields) -> tuple[Path, ...]:
    return tuple(
        from_text(text.strip()) for text in form.get("uses", "").splitlines() if text.strip()
    )


def _row(
    context: Context, pin: Pin, heads: dict[str, int], kinds: dict[str, str], tally: Tally
) -> dict[str, Any]:
    kind = kinds.get(pin.view, "missing")
    return {
        "pin": pin,
        "newest": heads.get(pin.subject),
        "uses": [to_text(context.redaction.path(path, pin.subject)) for path in pin.uses],
        "fault": "version lost" if pin.reader in tally.lost else "" if kind == "view" else kind,
        "broken": tally.broken.get(pin.reader, 0),
        "role": json.dumps(role(context.views.database_name, pin.view)),
    }
