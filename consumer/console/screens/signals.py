"""Show the fields that vanished or were likely renamed; acknowledge and mute them."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from consumer.console.answers import Done, Invalid
from consumer.console.base import ROOT
from consumer.console.context import Context
from consumer.console.request import Request
from consumer.signals.signals import Signal, State, told

_SHOWN = 200
# What a button asks for, with its words and those of its answer.
_DECISIONS: dict[State, tuple[str, str]] = {
    "acknowledged": ("Acknowledge", "Acknowledged: it is told again when it ends and comes anew."),
    "muted": ("Mute", "Muted: it is never told again."),
    "open": ("Open again", "Open again."),
}
_TONES: dict[State, str] = {"open": "warn", "acknowledged": "info", "muted": "quiet"}


def view(context: Context, request: Request) -> dict[str, Any]:
    """The signals of a subject, or of all."""
    name = request.query.get("name", "")
    everything = "all" in request.query
    found = [
        each
        for each in context.signals.of(name or None, ended=everything)
        if everything or each.state != "muted"
    ]
    return {
        "name": name,
        "everything": everything,
        "more": max(0, len(found) - _SHOWN),
        "signals": [
            {
                "id": _id(each),
                "signal": each,
                "words": told(each, context.redaction),
                "tone": _TONES[each.state],
                "decisions": [
                    (state, words)
                    for state, (words, _) in _DECISIONS.items()
                    if state != each.state and each.holds
                ],
            }
            for each in found[:_SHOWN]
        ],
    }


def act(context: Context, request: Request) -> Done:
    """Do what a button says."""
    name, wanted = request.form.get("name", ""), request.form.get("id", "")
    state = next((state for state in _DECISIONS if state == request.form.get("state")), None)
    if state is None:
        raise Invalid("There is no such decision.")
    where = (
        f"{ROOT}/signals?{urlencode({'name': name})}"
        if "back" in request.form
        else (f"{ROOT}/signals")
    )
    found = [each for each in context.signals.of(name, ended=True) if _id(each) == wanted]
    if not found:
        return Done(where, "That signal is not there any more.", "info")
    path = context.redaction.recorded(found[0].path, name)
    request.record(f"schema signals {state}", subject=name, changes=[path])
    context.signals.decide(found, state)
    return Done(where, _DECISIONS[state][1])


def _id(signal: Signal) -> str:
    return sha256(repr(signal.key).encode("utf-8", "backslashreplace")).hexdigest()[:32]
