"""Make the pipelines of pins as schemas and masks are at one moment."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version as release_of
from typing import Any, Protocol

import bson

from consumer.core.clock import EPOCH
from consumer.core.errors import SetupError
from consumer.core.paths import Path
from consumer.mongodb.client import Document
from consumer.readers.pins import Pin
from consumer.readers.projection import Projection, projection_of
from consumer.readers.view import base_pipeline, pipeline
from consumer.schemas.model import SchemaVersion
from consumer.schemas.registry.registry import SchemaRegistry


class Masks(Protocol):
    """Rules of CXONE_REDACT."""

    def of(self, subject: str | None) -> Masks:
        """Those of one subject alone."""

    def hides(self, path: Path) -> bool:
        """True where values at a path of a schema are hidden."""

    def without_hidden(self, version: SchemaVersion) -> SchemaVersion:
        """The version without the fields whose names are hidden."""

    @property
    def fingerprint(self) -> str:
        """Text that differs where something else is hidden."""


class Moment:
    """The pipelines of pins by the versions and masks of one moment, each read once."""

    def __init__(self, registry: SchemaRegistry, masks: Masks) -> None:
        self._registry = registry
        self._masks = masks
        self._release = release_of("cxone-consumer")
        self._heads: dict[str, SchemaVersion | None] = {}
        self._versions: dict[tuple[str, int], SchemaVersion | None] = {}
        self._pipelines: dict[str, tuple[list[Document], list[Document]]] = {}
        # Views, and digests of what they were made; and what MongoDB makes of pipelines, by theirs.
        self.made: set[tuple[str, str]] = set()
        self.seen: dict[str, str] = {}

    def head(self, subject: str) -> SchemaVersion | None:
        if subject not in self._heads:
            self._heads[subject] = self._registry.refreshed(subject)
        return self._heads[subject]

    def projection(self, pin: Pin) -> Projection:
        """The projection of a pin; raises SetupError where its version is gone."""
        head, at = self.head(pin.subject), (pin.subject, pin.version)
        if at not in self._versions:
            self._versions[at] = self._registry.version(*at)
        version = self._versions[at]
        if head is None or version is None:
            raise SetupError(f'schema "{pin.subject}" has no version {pin.version}')
        if not pin.redact:
            return projection_of(pin, version, head)
        shown = self._masks.without_hidden(version)
        return projection_of(pin, shown, head, self._masks.of(pin.subject).hides)

    def pipelines(self, pin: Pin) -> tuple[list[Document], list[Document]]:
        """The pipelines of a pin's base view and view, made once for all readers that see the
        same."""
        sees = replace(pin, view="", reader="", at=EPOCH, by="", uses=()).to_document()
        if (key := digest(sees)) not in self._pipelines:
            projection = self.projection(pin)
            self._pipelines[key] = base_pipeline(projection), pipeline(projection)
        return self._pipelines[key]

    def key(self, pin: Pin, number: int | None = None) -> str:
        """Text that is another where the view may have to be. `number`: that of the head, where it
        is known."""
        if number is None:
            head = self.head(pin.subject)
            number = head.number if head else 0
        says = {**pin.to_document(), "at": None, "by": None}
        masks = self._masks.fingerprint if pin.redact else ""
        return digest([says, number, masks, self._release])


def digest(value: Any) -> str:
    """SHA-256 of a value, as BSON."""
    return sha256(bson.encode({"": value})).hexdigest()
