"""Keep the pins: the version of a subject that each program downstream was written for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal

import bson
from pymongo.collection import Collection

from consumer.core.errors import SetupError
from consumer.core.paths import Path
from consumer.mongodb.client import Document
from consumer.mongodb.errors import readable, translated
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Defaults

Mismatch = Literal["null", "keep"]

MAX_PINS = 500
# MongoDB takes 255 bytes for database and collection.
_LONGEST = 200
_READER = re.compile(r"[a-z][a-z0-9_-]{0,39}")
# A dot at either end or behind another one, and a word that MongoDB has for itself.
_ODD = re.compile(r"\A\.|\.\Z|(?<=\.)\.|(?:\A|(?<=\.))system(?=\.)")
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")


@dataclass(frozen=True, slots=True)
class Pin:
    """One reader's version of one subject, and the `view` that shows it.

    `uses`: the paths that the reader needs, none for all. A value of a type that the version does
    not know is shown as null, or kept. `redact`: the view masks what CXONE_REDACT names.
    `defaults` fill what is absent, as they were when it was pinned. `applied` says how the view was
    made last.
    """

    view: str
    reader: str
    subject: str
    version: int
    at: datetime
    by: str
    uses: tuple[Path, ...] = ()
    mismatch: Mismatch = "null"
    redact: bool = False
    defaults: Defaults = field(default_factory=Defaults)
    applied: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def paths(self) -> Iterator[Path]:
        """The paths that it names."""
        yield from self.uses
        yield from self.defaults.values

    def is_like(self, other: Pin) -> bool:
        """True for one that differs in nothing but when and by whom it was made."""
        return {**self.to_document(), **_MADE} == {**other.to_document(), **_MADE}

    def to_document(self) -> Document:
        """The document of the collection `readers`."""
        return {
            "_id": self.view,
            "reader": self.reader,
            "subject": self.subject,
            "version": self.version,
            "uses": [list(path) for path in self.uses],
            "mismatch": self.mismatch,
            "redact": self.redact,
            "defaults": {
                "typed": self.defaults.typed,
                # A list, for paths are no keys of a document.
                "values": [
                    {"path": list(path), "value": value}
                    for path, value in self.defaults.values.items()
                ],
            },
            "at": self.at,
            "by": self.by,
        }


_MADE: Document = {"at": None, "by": None}


def pin_of(document: Mapping[str, Any]) -> Pin:
    """The pin of a document of `readers`; raises KeyError, TypeError or ValueError when it is none
    of ours."""
    defaults = document["defaults"]
    return Pin(
        view=document["_id"],
        reader=document["reader"],
        subject=document["subject"],
        version=int(document["version"]),
        at=document["at"],
        by=document["by"],
        uses=tuple(map(tuple, document["uses"])),
        mismatch=document["mismatch"],
        redact=bool(document["redact"]),
        defaults=Defaults(
            bool(defaults["typed"]),
            {tuple(each["path"]): each["value"] for each in defaults["values"]},
        ),
        applied=document.get("applied") or {},
    )


def check_reader(name: str) -> None:
    """Raise ValueError for what is no name of a reader."""
    if not _READER.fullmatch(name) or name == "system":
        raise ValueError(
            "a reader's name is up to 40 of a-z, 0-9, _ and -, a letter first, and not `system`"
        )


def view_name(database: str, reader: str, subject: str) -> str:
    """The name of the view: READER.SUBJECT, with what MongoDB does not take percent-encoded; a name
    too long for it is cut, and ends in a digest."""
    data = subject.encode("utf-8", "surrogatepass")
    text = "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in data)
    text = _ODD.sub(lambda odd: "".join(f"%{ord(each):02X}" for each in odd.group()), text)
    name = f"{reader}.{text}"
    if len(f"{database}.{name}".encode()) <= _LONGEST:
        return name
    ending = f"~{sha256(name.encode()).hexdigest()[:12]}"
    return name[: _LONGEST - len(f"{database}.{ending}".encode())] + ending


class Pins:
    """The collection `readers`; every method raises StoreUnavailable. Who pins or unpins records it
    in the audit first."""

    def __init__(self, readers: Collection[Document], most: int = MAX_PINS) -> None:
        self._readers = readers
        self.most = most

    def all(self, subject: str | None = None) -> list[Pin]:
        """Every pin, or those of one subject, by subject and reader."""
        is_text = {"$type": "string"}
        wanted: Document = {"ended": None, "_id": is_text, "reader": is_text, "subject": is_text}
        if subject is not None:
            wanted["subject"] = subject
        with translated(self._readers.name):
            found = list(self._readers.find(wanted))
        return sorted(readable(found, pin_of), key=lambda pin: (pin.subject, pin.reader))

    def get(self, reader: str, subject: str) -> Pin | None:
        """The pin of a reader on a subject."""
        return next((pin for pin in self.all(subject) if pin.reader == reader), None)

    def knows(self, view: str) -> bool:
        """True for the view of a pin, also of one that was ended and not yet forgotten."""
        with translated(self._readers.name):
            return self._readers.find_one({"_id": view}, {"_id": 1}) is not None

    def view_name(self, reader: str, subject: str) -> str:
        """The name of the view for a pin in this database."""
        return view_name(self._readers.database.name, reader, subject)

    def base_of(self, pin: Pin) -> str:
        """The name of the base view on which the view of a pin stands: one for all readers of the
        subject with the same defaults, and of a form that no reader's view has."""
        defaults = sha256(bson.encode(pin.to_document()["defaults"])).hexdigest()[:8]
        return self.view_name(f"_aliases-{defaults}", pin.subject)

    def bases_of(self, pin: Pin) -> set[str]:
        """That name, and that of the one on which it was made last."""
        return {self.base_of(pin), pin.applied.get("base", "")} - {""}

    def made(
        self,
        reader: str,
        version: SchemaVersion,
        defaults: Defaults,
        at: datetime,
        by: str,
        *,
        uses: tuple[Path, ...] = (),
        mismatch: Mismatch = "null",
        redact: bool = False,
    ) -> Pin:
        """The pin of a reader to a version in this database, with the defaults as they are now; it
        is not durable yet."""
        return Pin(
            view=self.view_name(reader, version.subject),
            reader=reader,
            subject=version.subject,
            version=version.number,
            at=at,
            by=by,
            uses=uses,
            mismatch=mismatch,
            redact=redact,
            defaults=defaults.frozen(),
        )

    def put(self, pin: Pin) -> None:
        """Make the pin durable, in place of an earlier one of its reader on its subject; raises
        SetupError where there are as many as may be."""
        document = pin.to_document()
        change: Document = {"$set": document, "$unset": {"ended": ""}}
        with translated(self._readers.name):
            before = self._readers.find_one_and_update({"_id": pin.view}, change, upsert=True)
            # Counted afterwards: of processes that race none sees fewer than there are.
            if before and not before.get("ended"):
                return
            if self._readers.count_documents({"ended": None}) <= self.most:
                return
        self.end(pin, pin.at)
        raise SetupError(
            f"there are {self.most:,} pins, as many as CXONE_MAX_PINS allows: `schema unpin` ends"
            " those that nobody reads by"
        )

    def set_applied(self, pin: Pin, applied: Mapping[str, str]) -> None:
        """Record how the view of this pin was made, unless another took its place."""
        with translated(self._readers.name):
            self._readers.update_one(
                {"_id": pin.view, "at": pin.at, "by": pin.by}, {"$set": {"applied": applied}}
            )

    def take_out(
        self, subject: str, without: Callable[[Path], Path], is_theirs: Callable[[Path, Any], bool]
    ) -> None:
        """Take names out of the paths of a subject's pins, and values that are theirs out of the
        defaults, and have their views be made again, for those show the paths of a version."""
        for pin in self.all(subject):
            values = {
                without(path): value
                for path, value in pin.defaults.values.items()
                if not is_theirs(path, value)
            }
            uses, defaults = tuple(map(without, pin.uses)), replace(pin.defaults, values=values)
            changed = replace(pin, uses=uses, defaults=defaults).to_document()
            change = {"uses": changed["uses"], "defaults": changed["defaults"]}
            wanted = {"_id": pin.view, "at": pin.at, "by": pin.by}
            with translated(self._readers.name):
                self._readers.update_one(wanted, {"$set": change, "$unset": {"applied.key": ""}})

    def end(self, pin: Pin, at: datetime) -> None:
        """Have the pin be none any more; its view is dropped next, and later it is forgotten."""
        with translated(self._readers.name):
            self._readers.update_one(
                {"_id": pin.view, "at": pin.at, "by": pin.by}, {"$set": {"ended": at}}
            )

    def ended(self) -> list[Pin]:
        """Pins that were ended and are not forgotten."""
        with translated(self._readers.name):
            found = list(self._readers.find({"ended": {"$type": "date"}}))
        return list(readable(found, pin_of))

    def forget(self, view: str, before: datetime) -> None:
        """Delete what is left of a pin that was ended before that."""
        with translated(self._readers.name):
            self._readers.delete_one({"_id": view, "ended": {"$lt": before}})
