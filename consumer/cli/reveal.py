"""`--reveal`: show what CXONE_REDACT masks, to a person who says so and is written down for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from config.loading import Settings
from consumer.cli.console import error_console
from consumer.core.text import safe
from consumer.privacy.masks import MaskedBody
from consumer.privacy.rules import Redaction

if TYPE_CHECKING:
    from consumer.runtime.shared import SharedParts


def masks_beside(settings: Settings, shared: SharedParts) -> Redaction:
    """Find what to hide: all that these settings or any process of the service hide. Says on
    standard error where a running one is set up otherwise. Raises StoreUnavailable."""
    from consumer.mongodb.client import INSTANCES
    from consumer.monitoring.instances import Instances
    from consumer.runtime.fleet import differences, masks_of_all

    processes = Instances(shared.database[INSTANCES]).all()
    for difference in differences(settings, processes):
        error_console().print(f"Note: {safe(difference)}", soft_wrap=True)
    shared.registry.refresh_aliases()
    return masks_of_all(settings, processes, shared.registry.aliased)


Reveal = Annotated[
    bool,
    typer.Option("--reveal", help="Show what CXONE_REDACT masks; the audit says that you did."),
]


def mask_note(body: MaskedBody) -> str:
    """Say in words how much of a body is masked; empty where nothing is."""
    if not body.spans:
        return ""
    if body.fault is None:
        what = (
            "1 value is masked" if len(body.spans) == 1 else f"{len(body.spans)} values are masked"
        )
    else:
        what = f"it cannot be read from byte {body.fault} on, so every value is masked"
    return f"{what} (CXONE_REDACT): --reveal shows it as it is"
