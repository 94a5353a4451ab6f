"""Who did what by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumer.web.console.pager import Pager
from consumer.web.console.parts import Parts
from consumer.web.console.request import Request

_PAGE = 50
_NAMED = frozenset({"_id", "who", "what", "at"})
_MOST_TEXT = 300


def show(parts: Parts, request: Request) -> dict[str, Any]:
    """A page of deeds, the last one first."""
    pager = Pager.of(request, _PAGE)
    found = parts.audit.deeds(limit=pager.asked, skip=pager.skip)
    return {
        "deeds": [
            {"who": deed["who"], "what": deed["what"], "at": deed["at"], "details": details(deed)}
            for deed in pager.taken(found)
        ],
        "pager": pager.told(len(found)),
    }


def details(deed: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What else was recorded, as short texts."""
    return [(name, _text(value)) for name, value in deed.items() if name not in _NAMED and value]


def _text(value: object) -> str:
    if isinstance(value, list):
        shown = ", ".join(map(str, value[:10]))
        more = len(value) - 10
        value = f"{shown} and {more:,} more" if more > 0 else shown
    text = str(value)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}\u2026"
