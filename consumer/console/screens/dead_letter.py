"""Show one dead letter: why it is here, what was tried, and what to do; and do that."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from consumer.console.answers import Done, Invalid, Missing
from consumer.console.base import ROOT
from consumer.console.context import Context
from consumer.console.request import Request
from consumer.console.wording import REASONS, STATUSES
from consumer.core.delivery import of_source
from consumer.core.json_repairs import TABLE, repair
from consumer.dead_letters.diagnosis import Diagnosis
from consumer.dead_letters.editing import difference, readable
from consumer.dead_letters.replay import Correction, Replayed
from consumer.dead_letters.requeue import MIGRATION_FAILED
from consumer.dead_letters.retry import DISCARDED, UNRESOLVED
from consumer.dead_letters.views import (
    around,
    change_text,
    cut,
    hex_rows,
    hex_start,
    masked_body,
    pretty,
    raw,
)
from consumer.privacy.masks import MaskedBody
from consumer.privacy.rules import masked_documents

_TEXT = 64 * 1024
_HEX = 2048
_AROUND = 64
_MOST_BECAUSE = 1000
BODY_FORMATS = {"json": "Pretty", "raw": "Raw", "hex": "Hex"}
_STEPS = {
    "retry": "Retry it.",
    "repair": "Repair it: the difference is shown below.",
    "edit": "Edit it.",
    "approve": "Approve the change of its schema, or let its contract evolve.",
    "revoke": "Nothing, or take the rejection back with “schema reject”.",
    "backfill": "The next backfill tries its document again, by itself.",
}


def view(context: Context, request: Request) -> dict[str, Any]:
    """Everything that is known of the entry."""
    entry = entry_of(context, request.query.get("id", ""))
    found = context.inspector.diagnose(entry)
    body = masked_body(entry, context.redaction)
    is_open = entry["status"] in UNRESOLVED
    is_json = pretty(body.shown) is not None
    body_format = request.query.get("view", "json" if is_json else "raw")
    return {
        "entry": entry,
        "status": STATUSES.get(entry["status"], (entry["status"], "quiet")),
        "reason_text": REASONS.get(entry["reason"], ""),
        "event_id": context.redaction.event_id(entry.get("event_id"), entry.get("event_type")),
        "is_open": is_open,
        "may_retry": may_retry(entry),
        "diagnosis": found,
        "steps": _STEPS,
        "changes": [
            change_text(each)
            for each in masked_documents(
                found.changes or entry.get("changes") or (),
                context.redaction,
                entry.get("event_type"),
            )
        ],
        "repaired": repaired(context, entry, found) if is_open else None,
        "size": len(body.raw),
        "masked": len(body.spans),
        "body_formats": BODY_FORMATS,
        "body_format": body_format if body_format in BODY_FORMATS else "raw",
        "text": _body_text(body, body_format, found.position),
        "fault": fault(context, entry, found.position),
    }


def fault(
    context: Context, entry: dict[str, Any], position: int | None
) -> tuple[str, str, str] | None:
    """The text around the byte at which the entry's body, as it is tried, breaks."""
    if position is None:
        return None
    body = bytes(entry.get("edited_payload") or entry["original_payload"])
    return around(context.redaction.body(body, entry.get("event_type")), position)


def act(context: Context, request: Request) -> Done:
    """Retry, repair or discard the entry."""
    entry = entry_of(context, request.query.get("id", ""))
    what = request.form.get("what", "")
    if what == "discard":
        return _discard(context, request, entry)
    if what not in ("retry", "repair"):
        raise Invalid("There is nothing of that name to do here.")
    correction = None
    if what == "repair":
        found = repair(bytes(entry["original_payload"]), safe_only=False)
        if found is None or context.inspector.problem(entry, found.body):
            raise Invalid("No known repair makes an event of it: edit it instead.")
        correction = Correction(found.body, found.names)
    return retry(context, request, entry, what, correction)


def retry(
    context: Context,
    request: Request,
    entry: dict[str, Any],
    what: str,
    correction: Correction | None,
) -> Done:
    """Send it the way of a delivery again; the message says how that ended."""
    repairs = list(correction.repairs) if correction else []
    about = {"repairs": repairs, **of_source(entry.get("source"))}
    request.record(f"dlq {what}", entries=[entry["_id"]], count=1, **about)
    done = context.replay.entry(entry, f"{request.session.who} (dlq {what})", correction)
    return Done(here(entry["_id"]), _outcome(done), "good" if done.resolved else "bad")


def _outcome(done: Replayed) -> str:
    """The end of an attempt, in words."""
    if done.resolved:
        return f"Resolved: it is {done.result}."
    return f"It stays: {done.result.replace('_', ' ')}. {done.message}".strip()


def entry_of(context: Context, _id: str) -> dict[str, Any]:
    """The whole entry; raises Missing."""
    entry = context.dead_letter_search.one(_id) if _id else None
    if entry is None:
        raise Missing("There is no such dead letter: what has ended is deleted after some time.")
    return entry


def here(_id: str) -> str:
    """The address of an entry."""
    return f"{ROOT}/dead-letters/one?{urlencode({'id': _id})}"


def may_retry(entry: dict[str, Any]) -> bool:
    """True where a person may try it: what was discarded too, but no document that is stored."""
    return entry["reason"] != MIGRATION_FAILED and entry["status"] in (*UNRESOLVED, DISCARDED)


def repaired(context: Context, entry: dict[str, Any], found: Diagnosis) -> dict[str, Any] | None:
    """The lines that the known repairs would change, if they make an event of it."""
    result = repair(bytes(entry["original_payload"]), safe_only=False) if found.repairs else None
    if result is None:
        return None
    masks, type_ = context.redaction, entry.get("event_type")
    before, after = masked_body(entry, masks), masks.body(result.body, type_)
    return {
        "help": [row.help for row in TABLE if row.name in result.names],
        # Before, all is masked behind the fault, and after it hardly anything: no difference.
        "lines": [] if before.spans else difference(before.shown, after.shown),
    }


def _discard(context: Context, request: Request, entry: dict[str, Any]) -> Done:
    because = request.form.get("because", "").strip()[:_MOST_BECAUSE]
    if not because:
        raise Invalid("Say why it is discarded: whoever looks for it later will want to know.")
    and_copies, now = "and_copies" in request.form, request.now
    about = {"because": because, "and_copies": and_copies, **of_source(entry.get("source"))}
    request.record("dlq discard", entries=[entry["_id"]], count=1, **about)
    by, claims = f"{request.session.who} (dlq discard)", context.dead_letters.claims
    if claims.discard(entry["_id"], by, because, now, and_copies=and_copies):
        return Done(here(entry["_id"]), "Discarded.")
    return Done(here(entry["_id"]), "It has ended, or is being tried just now.", "bad")


def _body_text(body: MaskedBody, body_format: str, position: int | None) -> str:
    if body_format == "hex":
        return "\n".join(hex_rows(body, hex_start(position, _HEX, _AROUND), _HEX))
    as_json = pretty(body.shown) if body_format == "json" else None
    if as_json is None:
        return raw(body.shown, _TEXT)
    return cut(readable(as_json.encode("utf-8", "surrogatepass")).decode(), _TEXT)
