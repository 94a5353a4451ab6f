"""`audit list`: what people did by hand, and when."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from consumer.cli.console import console, print_json, print_lines
from consumer.cli.context import AsJson, load_settings, open_shared
from consumer.cli.options import Since, Until, moment
from consumer.cli.reveal import masks_beside
from consumer.core.clock import utc_now
from consumer.privacy.actions import masked_action

_NAMED = ("_id", "at", "who", "what")


def list_actions(
    ctx: typer.Context,
    *,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what people did by hand, the last deed first."""
    from consumer.mongodb.client import AUDIT
    from consumer.monitoring.audit import Audit

    now = utc_now()
    settings = load_settings(ctx)
    with open_shared(settings) as shared:
        found = Audit(shared.database[AUDIT]).actions(
            limit + 1,
            since=moment(since, now, "--since") if since else None,
            until=moment(until, now, "--until") if until else None,
        )
        masks = masks_beside(settings, shared)
    actions = [_document(masked_action(each, masks)) for each in found[:limit]]
    if as_json:
        print_json({"actions": actions})
        return
    if not actions:
        console().print("Nobody did anything by hand.")
        return
    rows = [(each["at"], each["who"], each["what"], _text(each["details"])) for each in actions]
    print_lines(("when", "who", "what", "about"), rows)
    if len(found) > limit:
        console().print(f"The last {limit:,}: --limit shows more.")


def _document(action: dict[str, Any]) -> dict[str, Any]:
    details = {name: value for name, value in action.items() if name not in _NAMED and value}
    return {
        "id": str(action["_id"]),
        "at": action["at"],
        "who": action.get("who"),
        "what": action.get("what"),
        "details": details,
    }


def _text(details: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value if isinstance(value, str) else json.dumps(value, default=str)}"
        for name, value in details.items()
    )
