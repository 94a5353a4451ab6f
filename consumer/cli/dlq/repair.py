"""`dlq repair` and `dlq edit`: put a body right, with the difference shown before it counts."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from config.environment import editor_command
from consumer.cli.console import console, error_console, print_json
from consumer.cli.context import AsJson
from consumer.cli.dlq.entries import Context, Entry, EntryId, one, opened
from consumer.cli.options import Yes, confirmed
from consumer.cli.reveal import Reveal, mask_note
from consumer.core.errors import SetupError
from consumer.core.json_repairs import TABLE, repair
from consumer.core.waiting import interruptibly
from consumer.dead_letters.editing import difference
from consumer.dead_letters.views import masked_body
from consumer.privacy.rules import Redaction

if TYPE_CHECKING:
    from consumer.dead_letters.replay import Correction, Replayed


def repair_entry(
    ctx: typer.Context,
    entry_id: EntryId,
    yes: Yes = False,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> int:
    """Make a malformed body readable by the known repairs, show the difference, and retry it.

    The original bytes stay, and the event keeps their key. Nothing is invented for a truncated
    body.

    Exit status: 0 resolved, 1 it stays.
    """
    from consumer.dead_letters.replay import Correction

    with opened(ctx) as context:
        entry = one(context.shared, entry_id)
        masks = context.masks("dlq repair", [entry["_id"]], reveal=reveal)
        body = bytes(entry["original_payload"])
        found = repair(body, safe_only=False)
        problem = "no repair applies to it"
        if found is not None:
            problem = context.inspector.problem(entry, found.body)
        if found is None or problem:
            raise SetupError(
                f"dead letter {entry['_id']} cannot be repaired ({problem}):"
                f" `cxone-consumer dlq edit {entry['_id']}` opens a copy"
            )
        for row in TABLE:
            if row.name in found.names:
                error_console().print(f"{row.name}: {row.help}")
        correction = Correction(found.body, found.names)
        return _apply(context, entry, correction, "repair", masks, yes=yes, as_json=as_json)


def edit(
    ctx: typer.Context,
    entry_id: EntryId,
    yes: Yes = False,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> int:
    """Open a copy of a body in VISUAL or EDITOR, show the difference, and retry what was saved.

    The original bytes stay; the edited body is an event of its own, with its own digest. What
    CXONE_REDACT masks cannot be edited unseen: such a body takes --reveal.

    Exit status: 0 resolved, 1 it stays or nothing was changed.
    """
    from consumer.dead_letters.replay import EDITED, Correction

    with opened(ctx) as context:
        entry = one(context.shared, entry_id)
        masks = context.masks("dlq edit", [entry["_id"]], reveal=reveal)
        earlier = entry.get("edited_payload")
        body = bytes(entry["original_payload"])
        start = bytes(earlier) if earlier is not None else body
        if masks.body(start, entry.get("event_type")).spans:
            raise SetupError(
                f"dead letter {entry['_id']} holds values that CXONE_REDACT masks:"
                " --reveal opens it as it is, and the audit says that you did"
            )
        edited = _edited(start, entry["_id"])
        if edited == body:
            error_console().print("Nothing was changed.")
            return 1
        problem = context.inspector.problem(entry, edited)
        if problem:
            raise SetupError(f"the edited body is no event ({problem}): the entry is as it was")
        correction = Correction(edited, (EDITED,), edited=True)
        return _apply(context, entry, correction, "edit", masks, yes=yes, as_json=as_json)


def _apply(
    context: Context,
    entry: Entry,
    correction: Correction,
    what: str,
    masks: Redaction,
    *,
    yes: bool,
    as_json: bool,
) -> int:
    # The difference goes to standard error beside the question, so that JSON stays clean.
    before, after = masked_body(entry, masks), masks.body(correction.body, entry.get("event_type"))
    lines = difference(before.shown, after.shown)
    for line in lines or ["what differs is masked (CXONE_REDACT)"]:
        error_console().print(line, soft_wrap=True)
    if note := mask_note(before):
        error_console().print(note, soft_wrap=True)
    if not confirmed("Retry it with this body?", yes=yes):
        error_console().print("The entry is as it was.")
        return 1
    context.record(f"dlq {what}", [entry["_id"]], repairs=list(correction.repairs))
    done = context.shared.replay.entry(entry, f"{context.who} (dlq {what})", correction)
    _print_result(entry["_id"], done, correction, as_json)
    return 0 if done.resolved else 1


def _print_result(_id: str, done: Replayed, correction: Correction, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "id": _id,
                "resolved": done.resolved,
                "result": done.result,
                "error": done.message,
                "repairs": list(correction.repairs),
            }
        )
        return
    word = "resolved" if done.resolved else "stays"
    console().print(f"{_id} {word}: {done.result} {done.message}".rstrip(), soft_wrap=True)


def _edited(body: bytes, _id: str) -> bytes:
    """Let a person edit a copy of the body; the copy is gone afterwards."""
    command = editor_command()
    # A directory only its owner can read, for payloads are nobody else's business.
    with tempfile.TemporaryDirectory(prefix="cxone-dlq-") as folder:
        path = Path(folder, f"{_id}.json")
        path.write_bytes(body)
        try:
            ended = interruptibly(
                lambda: subprocess.run([*command, str(path)], check=False)  # noqa: S603 - their own editor
            )
        except OSError as error:
            raise SetupError(
                f"the editor {command[0]!r} cannot be started: set EDITOR to one that can"
            ) from error
        if ended.returncode != 0:
            raise SetupError(f"the editor ended with {ended.returncode}: the entry is as it was")
        return _saved(path, body)


def _saved(path: Path, before: bytes) -> bytes:
    data = path.read_bytes()
    # Most editors end the last line, which is no edit.
    if not before.endswith(b"\n"):
        data = data.removesuffix(b"\n").removesuffix(b"\r")
    return data
