"""Show the actions by hand: who did what, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumer.console.context import Context
from consumer.console.pagination import OffsetPage
from consumer.console.request import Request
from consumer.privacy.actions import masked_action

_PAGE = 50
_NAMED = frozenset({"_id", "who", "what", "at"})
_MOST_TEXT = 1000


def view(context: Context, request: Request) -> dict[str, Any]:
    """A page of actions, the last one first."""
    page = OffsetPage.of(request, _PAGE)
    found = context.audit.actions(limit=page.limit, skip=page.skip)
    return {
        "actions": [
            {
                "id": action["_id"],
                "who": action["who"],
                "what": action["what"],
                "at": action["at"],
                "details": details(masked_action(action, context.redaction)),
            }
            for action in page.rows(found)
        ],
        "links": page.links(request, found),
    }


def details(action: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The other things that were recorded, as short texts."""
    return [(name, _text(value)) for name, value in action.items() if name not in _NAMED and value]


def _text(value: object) -> str:
    if isinstance(value, list):
        shown = ", ".join(map(str, value[:10]))
        more = len(value) - 10
        value = f"{shown} and {more:,} more" if more > 0 else shown
    text = str(value)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}\u2026"
