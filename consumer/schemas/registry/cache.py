"""Keep the heads of all schemas in memory; read everything else from MongoDB."""

from __future__ import annotations

import random
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo.collection import Collection

from consumer.core.clock import utc_now
from consumer.core.paths import Path, to_text
from consumer.schemas.check import CompiledSchema, compile_schema
from consumer.schemas.model import Alias, SchemaVersion
from consumer.schemas.objections import NONE, Objections
from consumer.schemas.policy import Contract, SchemaPolicy
from consumer.schemas.registry.document_stamps import DocumentStamps
from consumer.schemas.registry.subject import Subject, Tools
from consumer.schemas.registry.subject_limit import SubjectLimit
from consumer.schemas.registry.versions import SchemaSummary, SchemaVersions, VersionChanges


@dataclass(frozen=True, slots=True)
class Hole:
    """A subject ends with version `head`, and its documents know version `seen`."""

    head: int
    seen: int

    def finding(self, subject: str) -> str:
        return (
            f'schema "{subject}" ends with version {self.head}, but documents know version'
            f" {self.seen}, as after a restored backup: its new fields are not registered"
        )

    def sentence(self, subject: str) -> str:
        """The finding and what to do."""
        todo = f"until `cxone-consumer schema renumber {subject}` goes on behind that"
        return f"{self.finding(subject)} {todo}"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """An object that the settings pin, and that is a map in the schema of a subject."""

    subject: str
    path: Path

    @property
    def finding(self) -> str:
        where = f'[subjects."{self.subject}"]'
        return f'{where} objects has "{to_text(self.path)}", but that is a map in the database'

    @property
    def remedy(self) -> str:
        """The command that undoes the map."""
        named = f"{shlex.quote(self.subject)} {shlex.quote(to_text(self.path))}"
        return f"cxone-consumer schema unmap {named}"


class SchemaCache:
    """The schemas of all subjects; safe for threads. What is read from MongoDB raises
    StoreUnavailable where that is away."""

    def __init__(
        self,
        collection: Collection[dict[str, Any]],
        policy: SchemaPolicy | None = None,
        clock: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        *,
        stamps: DocumentStamps | None = None,
        objections: Callable[[str, Contract], Objections] = lambda *_: NONE,
    ) -> None:
        """`stamps` shows versions that were lost; without it nobody looks for them. `objections`
        are read before anything is held or registered."""
        self._policy = policy or SchemaPolicy()
        self._versions = SchemaVersions(collection)
        self._limit = SubjectLimit(self._versions, self._policy.guards.subjects, clock)
        self._tools = Tools(
            self._versions, self._limit, self._policy.guards, clock, sleep, jitter, objections
        )
        self._nothing = compile_schema(None)
        self._stamps = stamps
        self._lost: Mapping[str, Hole] = {}
        self._aliases: Mapping[str, tuple[Alias, ...]] = {}
        self._aliases_read_at: datetime | None = None
        self._mutex = threading.Lock()
        self._subjects: dict[str, Subject] = {}

    def head(self, subject: str) -> SchemaVersion | None:
        """The newest version known here; read from MongoDB at first sight."""
        return self.compiled(subject).version

    def compiled(self, subject: str) -> CompiledSchema:
        """The head laid out with the subject's defaults, as a backfill needs it."""
        held = self._subjects.get(subject)
        if held is None or held.schema.version is None:
            self.refreshed(subject)
            held = self._subjects.get(subject)
        return held.schema if held else self._nothing

    def refreshed(self, subject: str) -> SchemaVersion | None:
        """The newest version in MongoDB, cached from now on."""
        version = self._versions.head(subject)
        if version is not None:
            self._subject(subject).install(version)
        return version

    def objections(self, subject: str) -> Objections:
        """All that speaks against changes of a subject now, from MongoDB."""
        return self._tools.objections(subject, self._policy.of(subject).contract)

    def history(self, subject: str) -> Iterator[SchemaVersion]:
        """All versions of a subject, oldest first, read as they are asked for."""
        return self._versions.history(subject)

    def version(self, subject: str, number: int) -> SchemaVersion | None:
        """A version by its number, from MongoDB."""
        return self._versions.one(subject, number)

    def changes_between(self, subject: str, after: int, upto: int) -> Iterator[VersionChanges]:
        """Changes of the versions beyond `after`, up to and with `upto`, oldest first."""
        return self._versions.changes_between(subject, after, upto)

    def latest(self, limit: int) -> list[VersionChanges]:
        """Changes of the newest versions of all subjects, the last one first."""
        return self._versions.latest(limit)

    def subjects(self) -> dict[str, int]:
        """Every subject with the number of its newest version, from MongoDB."""
        return self._versions.subjects()

    def summaries(self) -> list[SchemaSummary]:
        """Every subject with its newest version in figures, by name, from MongoDB."""
        return self._versions.summaries()

    def look_for_holes(self) -> None:
        """Find the subjects whose documents know versions beyond their newest: those were lost, and
        their numbers must not be used again. Raises StoreUnavailable."""
        if self._stamps is not None:
            # Documents first: a version is durable before any document is stamped with it.
            seen = self._stamps.newest()
            newest = self._versions.subjects()
            found = {name: Hole(newest.get(name, 0), at) for name, at in seen.items()}
            self._lost = {name: hole for name, hole in found.items() if hole.seen > hole.head}
            for subject in self._lost:
                self.refreshed(subject)

    def hole(self, subject: str) -> Hole | None:
        """The hole of a subject as MongoDB shows it now; raises StoreUnavailable."""
        seen = self._stamps.newest_of(subject) if self._stamps else 0
        head = self.refreshed(subject)
        number = head.number if head else 0
        return Hole(number, seen) if seen > number else None

    @property
    def holes(self) -> dict[str, Hole]:
        """The holes that are known here and not closed since."""
        # A process that was running when the backup was restored knows the lost versions still.
        return {name: hole for name, hole in self._lost.items() if self._number(name) <= hole.seen}

    def contradictions(self) -> list[Contradiction]:
        """The objects pinned by the settings that are maps in MongoDB: pins make none undone."""
        names = [name for name, policy in self._policy.subjects.items() if policy.pins.objects]
        if self._policy.general.pins.objects:
            names = list(self.subjects())
        heads = filter(None, map(self.head, names))
        return [
            Contradiction(head.subject, path)
            for head in heads
            for path in self._policy.of(head.subject).pins.undone_by(head.maps)
        ]

    def refresh(self) -> None:
        """Take over what other processes registered for the subjects known here: index look-ups,
        and one read for each subject that has moved."""
        known = {name: held.schema.number for name, held in list(self._subjects.items())}
        lost = [name for name in self._lost if name not in known]
        for subject in [*self._versions.advanced(known), *lost]:
            self.refreshed(subject)

    def refresh_aliases(
        self,
        may_be_any: Callable[[], bool] = lambda: True,
        older: timedelta = timedelta(seconds=60),
    ) -> None:
        """Learn the aliases of all subjects, also of those not known here yet, where that was
        longer ago and there may be any; raises StoreUnavailable."""
        now = self._tools.clock()
        if self._aliases_read_at is None or now >= self._aliases_read_at + older:
            self._aliases = self._versions.aliases() if may_be_any() else {}
            self._aliases_read_at = now

    def aliased(self, subject: str | None) -> frozenset[tuple[Path, Path]]:
        """The fields of a subject (None: of all) of which one is, or was, filled from the other, as
        far as that is known here: asks nobody, so whoever masks may."""
        if subject is None:
            names = {*self._aliases, *list(self._subjects)}
            return frozenset().union(*map(self.aliased, names))
        held = self._subjects.get(subject)
        version = held.schema.version if held else None
        aliases = version.aliases if version else self._aliases.get(subject, ())
        return frozenset((each.old, each.new) for each in aliases if each.new is not None)

    def _number(self, subject: str) -> int:
        held = self._subjects.get(subject)
        return held.schema.number if held else 0

    def _subject(self, subject: str) -> Subject:
        held = self._subjects.get(subject)
        if held is None:
            made = Subject(subject, self._policy.of(subject), self._tools)
            with self._mutex:
                held = self._subjects.setdefault(subject, made)
        return held
