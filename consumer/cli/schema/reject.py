"""`schema reject`: refuse a change for good, list what was refused, take a refusal back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from config.environment import user_name
from consumer.cli.console import console, print_json, shown, table
from consumer.cli.context import AsJson
from consumer.cli.schema.amend import read_path
from consumer.cli.schema.breaches import types_text
from consumer.cli.schema.shared import Context, head_of, opened
from consumer.core.clock import utc_now
from consumer.core.paths import ANY_KEY, Path, to_text
from consumer.core.text import safe
from consumer.privacy.rules import Redaction
from consumer.schemas.json_types import BITS, bits, mask
from consumer.schemas.objections import RejectedChange

if TYPE_CHECKING:
    from consumer.readers.objections import RejectedChanges, Rejection

Then = Literal["hold", "store", "discard"]
_ENDS = {
    "hold": "wait as held dead letters",
    "store": "are stored as sent; what was rejected stays out of the schema",
    "discard": "become dead letters that nobody waits for, and expire",
}


def reject(
    ctx: typer.Context,
    *,
    subject: Annotated[
        str | None, typer.Argument(help="An event type; without PATH its rejected changes.")
    ] = None,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="What is new there and below is rejected."),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--json-type", help=f"Only this type at PATH: {', '.join(BITS)}. Repeatable."),
    ] = None,
    then: Annotated[
        Then,
        typer.Option(
            help="What becomes of deliveries that bring it: `hold` them, `store` them without it"
            " in the schema, or `discard` them, whose dead letters expire."
        ),
    ] = "hold",
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Take the rejection of PATH back.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Reject a change of a schema, or list the changes that were rejected.

    It counts for deliveries that come, and for those that are held, which are tried again. What is
    registered already stays. A rejected change is not registered by `approve` or `learn` either,
    until it is revoked.

    Exit status: 0 done, 1 there was nothing to revoke.
    """
    from consumer.mongodb.client import REJECTED_CHANGES
    from consumer.readers.objections import RejectedChanges, Rejection

    places, wanted = [read_path(text) for text in paths or ()], _types(types or [])
    if not places and (revoke or wanted or then != "hold"):
        raise typer.BadParameter("say which PATH of which SUBJECT", param_hint="PATH")
    with opened(ctx) as context:
        rejected = RejectedChanges(context.shared.database[REJECTED_CHANGES])
        head = None if subject is None else head_of(context.shared, subject)
        if subject is None or head is None or not places:
            return _list(rejected.all(subject), context, as_json)
        if revoke:
            alike = [
                each
                for each in rejected.all(subject)
                if each.change.path in places and wanted in (0, each.change.types)
            ]
            done = [each for each in alike if _record(context, "revoke", each, rejected)]
        else:
            _check_maps(places, head.maps)
            changes = [RejectedChange(place, then, wanted) for place in places]
            at, by = utc_now(), user_name()
            done = [Rejection(subject, change, at, by) for change in changes]
            for each in done:
                _record(context, "reject", each, rejected)
        masks = context.hidden
    if as_json:
        print_json({"revoked" if revoke else "rejected": [_document(each, masks) for each in done]})
    elif revoke:
        ends = "What is held for it is tried again." if done else "`schema reject` lists all."
        console().print(f"Revoked: {len(done)}. {ends}")
    else:
        what = f"{types_text(wanted)} at " if wanted else ""
        console().print(safe(f"Rejected: {what}{', '.join(map(to_text, places))} of {subject}."))
        console().print(f"Deliveries that bring it {_ENDS[then]}.")
    return 0 if done else 1


def _record(context: Context, what: str, each: Rejection, rejected: RejectedChanges) -> bool:
    """Put the deed into the audit, then do it; False where it was done already."""
    masks, change = context.hidden, each.change
    context.record(
        "schema reject" if what == "reject" else "schema reject --revoke",
        subject=each.subject,
        path=masks.recorded(change.path, each.subject),
        types=list(bits(change.types)),
        then=change.then,
    )
    if what == "revoke":
        return rejected.revoke(each)
    rejected.put(each)
    return True


def _check_maps(places: Sequence[Path], maps: Collection[Path]) -> None:
    """Refuse what is never met: below a map changes are those of its `*`."""
    for place in places:
        for depth, segment in enumerate(place):
            if place[:depth] in maps and segment != ANY_KEY:
                inside = to_text((*place[:depth], ANY_KEY, *place[depth + 1 :]))
                raise typer.BadParameter(
                    f'"{to_text(place[:depth])}" is a map, whose keys are data: say "{inside}"',
                    param_hint="PATH",
                )


def _types(names: Sequence[str]) -> int:
    wrong = [name for name in names if name not in BITS]
    if wrong:
        raise typer.BadParameter(
            f"{wrong[0]!r} is none of {', '.join(BITS)}", param_hint="--json-type"
        )
    return mask(names)


def _list(found: Sequence[Rejection], context: Context, as_json: bool) -> int:
    masks = context.hidden
    if as_json:
        print_json({"rejected": [_document(each, masks) for each in found]})
        return 0
    if not found:
        console().print("No change is rejected.")
        return 0
    rows = [
        (
            each.subject,
            to_text(masks.path(each.change.path, each.subject)),
            types_text(each.change.types) if each.change.types else "whatever is new",
            each.change.then,
            shown(each.at),
            each.by,
        )
        for each in found
    ]
    columns = ("subject", "path", "what", "then", "since", "by")
    console().print(table(columns, rows, title="Rejected changes"))
    return 0


def _document(each: Rejection, masks: Redaction) -> dict[str, Any]:
    change, path = each.change, masks.path(each.change.path, each.subject)
    return {
        "subject": each.subject,
        "path": list(path),
        "text": to_text(path),
        "types": list(bits(change.types)),
        "then": change.then,
        "at": each.at,
        "by": each.by,
    }
