"""`--reveal`: show what CXONE_REDACT masks, to a person who says so and is written down for it."""

from __future__ import annotations

from typing import Annotated

import typer

from consumer.redaction import MaskedBody

Reveal = Annotated[
    bool,
    typer.Option("--reveal", help="Show what CXONE_REDACT masks; the audit says that you did."),
]


def mask_note(body: MaskedBody) -> str:
    """What of a body is masked, in words; empty where nothing is."""
    if not body.spans:
        return ""
    if body.fault is None:
        what = (
            "1 value is masked" if len(body.spans) == 1 else f"{len(body.spans)} values are masked"
        )
    else:
        what = f"it cannot be read from byte {body.fault} on, so every value is masked"
    return f"{what} (CXONE_REDACT): --reveal shows it as it is"
