"""Open the context of a `schema` command, and find a subject and version by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from config.environment import user_name
from config.loading import Settings
from consumer.cli.context import load_settings, open_shared
from consumer.cli.reveal import masks_beside
from consumer.core.clock import utc_now
from consumer.core.errors import SetupError
from consumer.privacy.rules import Redaction
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import SchemaPolicy

if TYPE_CHECKING:
    from consumer.dead_letters.approval import Approval
    from consumer.dead_letters.search import HeldDeadLetters
    from consumer.readers.judge import Judge
    from consumer.readers.views import Views
    from consumer.runtime.shared import SharedParts

_NAMED = 3
# Counting events is a look aside: it must not keep anybody waiting.
COUNT_SECONDS = 10.0

Subject = Annotated[str, typer.Argument(help="An event type; `schema list` shows them.")]
Number = Annotated[int | None, typer.Option("--version", min=1, help="Else the newest.")]


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a command on schemas, and the settings of events and schemas."""

    settings: Settings
    shared: SharedParts
    policy: SchemaPolicy
    held: HeldDeadLetters
    one_subject: str | None
    hidden: Redaction

    def approval(self) -> Approval:
        from consumer.dead_letters.approval import Approval, HeldEvents

        held = HeldEvents(self.held, self.shared.sources, self.one_subject)
        return Approval(self.shared.registry, held, self.shared.replay)

    def judge(self) -> Judge:
        return self.shared.judge(self.hidden)

    def views(self) -> Views:
        """The views of readers, masked as all processes mask."""
        from consumer.runtime.shared import build_views

        return build_views(self.settings, self.shared, lambda: self.hidden)

    def record(self, what: str, **details: object) -> None:
        """Put into the audit what this person is about to do."""
        from consumer.mongodb.client import AUDIT
        from consumer.monitoring.audit import Audit

        Audit(self.shared.database[AUDIT]).record(user_name(), what, utc_now(), details)


@contextmanager
def opened(ctx: typer.Context) -> Iterator[Context]:
    """The context on the configured MongoDB, closed at the end."""
    from consumer.dead_letters.search import HeldDeadLetters
    from consumer.mongodb.client import DEAD_LETTERS
    from consumer.runtime.settings_map import one_subject, schema_policy

    settings = load_settings(ctx)
    with open_shared(settings) as shared:
        yield Context(
            settings=settings,
            shared=shared,
            policy=schema_policy(settings),
            held=HeldDeadLetters(shared.database[DEAD_LETTERS]),
            one_subject=one_subject(settings),
            hidden=masks_beside(settings, shared),
        )


def head_of(shared: SharedParts, subject: str) -> SchemaVersion:
    """The newest version of a subject; raises SetupError that names similar ones."""
    head = shared.registry.refreshed(subject)
    if head is not None:
        return head
    known = list(shared.registry.subjects())
    named = " or ".join(f'"{name}"' for name in get_close_matches(subject, known, _NAMED))
    hint = f"did you mean {named}? " if named else "" if known else "nothing is registered yet: "
    raise SetupError(f'no schema "{subject}": {hint}`cxone-consumer schema list` shows all of them')


def version_of(shared: SharedParts, subject: str, number: int | None) -> SchemaVersion:
    """A version of a subject, the newest where `number` is None; raises SetupError."""
    head = head_of(shared, subject)
    if number is None or number == head.number:
        return head
    # MongoDB cannot be asked for every number.
    version = shared.registry.version(subject, number) if 0 < number < head.number else None
    if version is None:
        raise no_version(head, number)
    return version


def no_version(head: SchemaVersion, number: int) -> SetupError:
    return SetupError(
        f'schema "{head.subject}" has no version {number}: it is at version {head.number}'
    )
