"""Who did what by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumer.console.context import Parts
from consumer.console.pagination import Pager
from consumer.console.request import Request
from consumer.core.paths import from_text, to_text
from consumer.privacy.masks import MASK
from consumer.privacy.rules import Redaction

_PAGE = 50
_NAMED = frozenset({"_id", "who", "what", "at"})
# What is recorded as texts of paths.
_PATHS = frozenset({"approved", "changes", "path"})
_MOST_TEXT = 300


def show(parts: Parts, request: Request) -> dict[str, Any]:
    """A page of deeds, the last one first."""
    pager = Pager.of(request, _PAGE)
    found = parts.audit.actions(limit=pager.asked, skip=pager.skip)
    return {
        "deeds": [
            {
                "who": deed["who"],
                "what": deed["what"],
                "at": deed["at"],
                "details": details(_masked(deed, parts.redaction)),
            }
            for deed in pager.taken(found)
        ],
        "pager": pager.told(len(found)),
    }


def _masked(deed: Mapping[str, Any], masks: Redaction) -> dict[str, Any]:
    """The deed with the names of fields in it as they may be shown now."""
    subject = deed.get("subject")

    def shown(text: object) -> str:
        try:
            return to_text(masks.path(from_text(str(text)), subject))
        except ValueError:
            return MASK

    if not masks:
        return dict(deed)
    paths = {name: deed[name] for name in _PATHS & deed.keys()}
    return {
        **deed,
        **{
            name: list(map(shown, value)) if isinstance(value, list) else shown(value)
            for name, value in paths.items()
        },
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
