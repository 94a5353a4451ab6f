"""Mask what the audit says of actions: names of fields that are hidden now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.settings import MASK
from consumer.core.paths import from_text, to_text
from consumer.privacy.rules import Redaction

# Details that are recorded as texts of paths.
_PATHS = frozenset({"approved", "changes", "path"})


def masked_action(action: Mapping[str, Any], masks: Redaction) -> dict[str, Any]:
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
