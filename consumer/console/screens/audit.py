"""Show the actions by hand: who did what, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.settings import MASK
from consumer.console.context import Context
from consumer.console.pagination import OffsetPage
from consumer.console.request import Request
from consumer.core.paths import from_text, to_text
from consumer.privacy.rules import Redaction

_PAGE = 50
_NAMED = frozenset({"_id", "who", "what", "at"})
# Details that are recorded as texts of paths.
_PATHS = frozenset({"approved", "changes", "path"})
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
                "details": details(_masked(action, context.redaction)),
            }
            for action in page.rows(found)
        ],
        "links": page.links(request, found),
    }


def _masked(action: Mapping[str, Any], masks: Redaction) -> dict[str, Any]:
    """The action with the names of fields in it as they may be shown now."""
    subject = action.get("subject")

    def shown(text: object) -> str:
        try:
            return to_text(masks.path(from_text(str(text)), subject))
        except ValueError:
            return MASK

    if not masks:
        return dict(action)
    paths = {name: action[name] for name in _PATHS & action.keys()}
    return {
        **action,
        **{
            name: list(map(shown, value)) if isinstance(value, list) else shown(value)
            for name, value in paths.items()
        },
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
