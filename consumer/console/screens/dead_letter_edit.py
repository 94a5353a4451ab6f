"""Put the body of a dead letter right by hand: edit, see the difference, and only then retry.

The console shows nobody what CXONE_REDACT masks: masked values stand in the text as placeholders,
and are put back behind the scenes (`consumer.dead_letters.editing`).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from functools import partial
from typing import Any

from consumer.console.answers import Done, Invalid
from consumer.console.context import Context
from consumer.console.request import Request
from consumer.console.screens.dead_letter import entry_of, may_retry, retry
from consumer.console.screens.dead_letter import fault as fault_of
from consumer.dead_letters.editing import (
    Editable,
    Misplaced,
    NotEditable,
    difference,
    editable,
    masker,
    readable,
    restore,
)
from consumer.dead_letters.replay import EDITED, Correction
from consumer.dead_letters.views import masked_body

# A browser writes most of JSON's marks with three bytes, and a request has a bound of its own.
_MOST = 128 * 1024
FORM_BYTES = 6 * _MOST
_COMMAND = "`cxone-consumer dlq edit {}` opens it where the service runs."


def view(context: Context, request: Request) -> dict[str, Any]:
    """The body in a form; or why it cannot be edited here."""
    entry = entry_of(context, request.query.get("id", ""))
    try:
        found = _editable(context, entry)
    except NotEditable as error:
        return _values(entry, None, fault=f"{error} {_COMMAND.format(entry['_id'])}")
    position = context.inspector.diagnose(entry).position
    values = _values(entry, found, _text(found.text))
    return {**values, "around": fault_of(context, entry, position)}


def act(context: Context, request: Request) -> Done | dict[str, Any]:
    """Show what an edit changes, or retry the entry with exactly what was shown."""
    entry = entry_of(context, request.query.get("id", ""))
    try:
        found = _editable(context, entry)
    except NotEditable as error:
        raise Invalid(str(error)) from error
    confirmed = request.form.get("what") == "retry"
    text = _confirmed(request) if confirmed else _sent(request)
    if text == found.text.replace(b"\r\n", b"\n"):
        return _values(entry, found, _text(text), fault="Nothing was changed.")
    try:
        body = restore(text, found.values, _masker(context, entry))
    except Misplaced as error:
        return _values(entry, found, _text(text), fault=str(error))
    if problem := context.inspector.problem(entry, body):
        return _values(entry, found, _text(text), fault=f"This is no event: {problem}.")
    if confirmed:
        return retry(context, request, entry, "edit", Correction(body, (EDITED,), edited=True))
    before = masked_body(entry, context.redaction)
    after = context.redaction.body(body, context.inspector.type_of(entry, body))
    lines = difference(readable(before.shown), readable(after.shown)) or [
        "what differs is masked (CXONE_REDACT)"
    ]
    return _values(entry, found, _text(text), lines=lines, token=b64encode(text).decode())


def _editable(context: Context, entry: dict[str, Any]) -> Editable:
    """Raises NotEditable."""
    if not may_retry(entry):
        raise NotEditable("It has ended, or is about a document that is stored.")
    earlier = entry.get("edited_payload")
    body = bytes(entry["original_payload"] if earlier is None else earlier)
    if len(body) > _MOST:
        raise NotEditable(f"It is larger than {_MOST // 1024} KiB.")
    found = editable(context.redaction.body(body, entry.get("event_type")))
    return replace(found, text=readable(found.text))


def _masker(context: Context, entry: dict[str, Any]) -> Any:
    type_of = partial(context.inspector.type_of, entry)
    return masker(context.redaction, entry.get("event_type"), type_of)


def _sent(request: Request) -> bytes:
    # Browsers end lines like HTTP does; blanks between the context of JSON say nothing.
    return request.form.get("body", "").replace("\r\n", "\n").encode("utf-8", "surrogatepass")


def _confirmed(request: Request) -> bytes:
    try:
        return b64decode(request.form.get("confirmed", ""), validate=True)
    except ValueError as error:
        raise Invalid("The form cannot be read.") from error


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _values(
    entry: dict[str, Any],
    found: Editable | None,
    text: str = "",
    *,
    fault: str = "",
    lines: list[str] | None = None,
    token: str = "",
) -> dict[str, Any]:
    return {
        "entry": entry,
        "editable": found is not None,
        "masked": len(found.values) if found else 0,
        "text": text,
        "fault": fault,
        "lines": lines or [],
        "confirmed": token,
        "around": None,
    }
