"""Show the settings of the service, secrets masked, and which differ from what is built in."""

from __future__ import annotations

from typing import Any

from config.loading import rows
from config.settings import MASK
from consumer.console.context import Context
from consumer.console.request import Request


def view(context: Context, request: Request) -> dict[str, Any]:
    """Every setting with its value as text that may be shown, and the rules by subject."""
    masked = context.settings.masked()
    changed_only = request.query.get("show") == "changed"
    found = [
        {
            "name": row.name,
            "value": masked[row.name],
            "default": row.default,
            "changed": masked[row.name] != row.default,
            "secret": row.secret,
            "help": row.help,
            "allowed": row.allowed,
        }
        for row in rows()
    ]
    return {
        "settings": [row for row in found if row["changed"] or not changed_only],
        "changed_only": changed_only,
        "changed": sum(bool(row["changed"]) for row in found),
        "count": len(found),
        "sources": [
            (
                name,
                [
                    (key, MASK if key in ("secret", "secret_previous") else value)
                    for key, value in source.model_dump(exclude_unset=True).items()
                    if value is not None
                ],
                source.path,
            )
            for name, source in context.settings.sources.items()
        ],
        "subjects": sorted(context.settings.subjects.items()),
    }
