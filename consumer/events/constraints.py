"""Indexes and validators that may refuse an event, and the fields that a refusal blames."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import json_util
from pymongo.collection import Collection as MongoCollection
from pymongo.errors import OperationFailure

from consumer.core.paths import RESERVED, Path, to_key
from consumer.mongodb.errors import translated
from consumer.schemas.model import Field

# An index, a write error or options of the collection, as the server gives them.
ServerFacts = Mapping[str, Any]

DUPLICATE_KEY = 11000
VALIDATION = 121
# The driver's own measure, and those of the server for an insert and an update.
TOO_LARGE = 10334
SIZES = frozenset({TOO_LARGE, 17419, 17420})
_NOT_AUTHORIZED = 13
_HASHED, _PARALLEL = 16766, 171
_LANGUAGE = frozenset({17261, 17262})
# Small numbers that blame a document; from this one on the server counts its single assertions,
# of which those of an index about a document are many (2d alone has ten).
_OF_A_CONSTRAINT = frozenset({DUPLICATE_KEY, VALIDATION, _PARALLEL, 201})
_ASSERTIONS = 12_000
# Assertions and states of the server above that say nothing of the document.
_OF_THE_SERVER = frozenset(
    {12586, 12587, 13113, 13297, 13388, 13435, 13436, 14031, 46841, 50768, 91331}
)
_NO_CONSTRAINT = SIZES | _OF_THE_SERVER
# Positions in `fields` to leave out: some, or all that there are and will be.
Positions = frozenset[int] | range
NOTHING: Positions = frozenset()
EVERYTHING: Positions = range(sys.maxsize)
# Words of `$jsonSchema` that are no fields, and those of a refusal that quote values.
_WORDS = frozenset({"bsonType", "type", "enum", "description", "title", "items", "pattern"})
_VALUES = frozenset({"consideredValue", "consideredValues"})


def both(one: Positions, other: Positions) -> Positions:
    """The positions that are in either."""
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return one | other
    return EVERYTHING


def is_constraint(code: object) -> bool:
    """True for the code of a write error by which an index or the validator refused a document."""
    if not isinstance(code, int):
        return False
    return code in _OF_A_CONSTRAINT or (code > _ASSERTIONS and code not in _NO_CONSTRAINT)


@dataclass(frozen=True, slots=True)
class Blame:
    """The dotted `paths` that a refusal is about with all above and below them, and the `keys` that
    are so wherever they stand. `sure`: without these it would have been the same."""

    paths: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    sure: bool = False

    def touches(self, path: Path) -> bool:
        """True where a filling at this path can have caused it."""
        if self.keys and to_key(path[-1]) in self.keys:
            return True
        text = ".".join(map(to_key, path))
        return self.is_about(path) or any(each.startswith(f"{text}.") for each in self.paths)

    def is_about(self, path: Path) -> bool:
        """True where one of its paths is this one, or above it."""
        text = ".".join(map(to_key, path))
        return any(text == each or text.startswith(f"{each}.") for each in self.paths)


@dataclass(frozen=True, slots=True)
class Constraints:
    """The indexes that may refuse a document, and the validator with its options."""

    indexes: tuple[ServerFacts, ...] = ()
    options: ServerFacts | None = None

    @property
    def fingerprint(self) -> tuple[str, ...]:
        """Texts that differ when something may be refused otherwise."""
        options = self.options or {}
        rules = ("validator", "validationAction", "validationLevel")
        return (
            *(json_util.dumps(options.get(name)) for name in rules),
            *sorted(json_util.dumps(dict(index)) for index in self.indexes),
        )

    @property
    def digest(self) -> str:
        """The fingerprint in a few characters."""
        return hashlib.sha256(json_util.dumps(self.fingerprint).encode()).hexdigest()[:16]

    def explain(self, refusal: ServerFacts) -> bool:
        """True where one of these can have refused a document."""
        if refusal.get("code") == VALIDATION:
            return bool((self.options or {}).get("validator"))
        return bool(self._of(refusal))

    def blames(self, refusal: ServerFacts) -> tuple[Blame, ...]:
        """List the fields that the server's write error blames, the most likely first."""
        code = refusal.get("code")
        if code == VALIDATION:
            rules = (self.options or {}).get("validator")
            named = _refused(refusal.get("errInfo") or {}, "")
            return Blame(frozenset(named)), Blame(frozenset(_fields(rules, "")))
        indexes = self._of(refusal)
        if code in _LANGUAGE:
            keys = frozenset(str(index.get("language_override", "language")) for index in indexes)
            return (Blame(keys=keys, sure=bool(indexes)),)
        paths = {path for index in indexes for path in _paths(index)}
        if code == DUPLICATE_KEY:
            paths |= dict(refusal.get("keyPattern") or {}).keys()
        elif code == _PARALLEL:
            paths = {path for path in paths if _is_named(path, refusal)} or paths
        return (Blame(frozenset(paths), sure=bool(indexes)),)

    def unique(self, refusal: ServerFacts) -> ServerFacts | None:
        """The unique index that refused a document, where it was one and is known."""
        found = self._of(refusal) if refusal.get("code") == DUPLICATE_KEY else []
        return found[0] if len(found) == 1 else None

    def culprit(self, refusal: ServerFacts) -> str:
        """Name what refused a document: `the validator`, `the unique index email_1 on email`; never
        in the server's words, which quote values."""
        code = refusal.get("code")
        if code == VALIDATION:
            return "the validator"
        if not is_constraint(code):
            return "the bound on the size of a document" if code in SIZES else "MongoDB"
        kind = "the unique index" if code == DUPLICATE_KEY else "the index"
        named = [str(index["name"]) for index in self._of(refusal)]
        names = named or list(filter(None, [_index_name(refusal)]))
        keys = ", ".join(dict(refusal.get("keyPattern") or {}))
        what = f"{kind} {' or '.join(names)}" if names else kind.replace("the", "an", 1)
        return f"{what} on {keys}" if keys else what

    def sentence(self, refusal: ServerFacts) -> str:
        """Sentence that says by what a document was refused, and what to do."""
        return (
            f"{self.culprit(refusal)} of the collection `events` refused the document (code"
            f" {refusal.get('code')}): `cxone-consumer doctor` lists what can refuse events"
        )

    def to_leave_out(
        self, refusal: ServerFacts, positions: Collection[int], fields: Sequence[Field]
    ) -> Positions | None:
        """Choose the filled `positions` in `fields` to do without next: those that are blamed, else
        all; None where the filling has surely not caused the refusal."""
        blames = self.blames(refusal)
        for blame in blames:
            if some := frozenset(p for p in positions if blame.touches(fields[p].path)):
                return some
        return None if blames[-1].sure or not positions else EVERYTHING

    def _of(self, refusal: ServerFacts) -> list[ServerFacts]:
        """The indexes that can have refused it."""
        code, name = refusal.get("code"), _index_name(refusal)
        if code == DUPLICATE_KEY:
            pattern = dict(refusal.get("keyPattern") or {})
            unique = [index for index in self.indexes if index.get("unique")]
            named = [index for index in unique if index["name"] == name]
            return named or [index for index in unique if dict(index["key"]) == pattern]
        kinds: tuple[str, ...] = ("2d", "2dsphere")
        if code in _LANGUAGE:
            kinds = ("text",)
        elif code == _HASHED:
            kinds = ("hashed",)
        elif code == _PARALLEL:
            return [index for index in self.indexes if len(index["key"]) > 1]
        return [index for index in self.indexes if not set(kinds).isdisjoint(_kinds(index))]


def read_constraints(events: MongoCollection[dict[str, Any]]) -> Constraints:
    """Read what may refuse an event now; nothing where we may not look. Raises StoreUnavailable."""
    with translated(events.name):
        try:
            options = events.options()
            indexes = [dict(index) for index in events.list_indexes()]
        except OperationFailure as error:
            if error.code != _NOT_AUTHORIZED:
                raise
            return Constraints()
    return Constraints(tuple(filter(can_refuse, indexes)), options)


def can_refuse(index: ServerFacts) -> bool:
    """True for an index that can refuse a document: for a value that is there already, for one that
    it cannot hold, or for two arrays in one document."""
    if list(index["key"]) == ["_id"]:
        return False
    # Those on our own fields never hold arrays.
    theirs = [name for name in index["key"] if name.partition(".")[0] not in RESERVED]
    return bool(index.get("unique")) or len(theirs) > 1 or bool(_kinds(index) - {"1"})


def _kinds(index: ServerFacts) -> set[str]:
    return {kind if isinstance(kind, str) else "1" for kind in index["key"].values()}


def _paths(index: ServerFacts) -> Iterator[str]:
    """The fields on which it depends what an index says of a document."""
    yield from (name for name in index["key"] if name not in ("_fts", "_ftsx"))
    yield from (name for name in index.get("weights", ()) if name != "$**")
    yield from _fields(index.get("partialFilterExpression"), "")


def _index_name(refusal: ServerFacts) -> str:
    # The values come behind it.
    before, found, rest = str(refusal.get("errmsg", "")).partition(" index: ")
    return rest.partition(" dup key:")[0] if found and before.startswith("E11000") else ""


def _is_named(path: str, refusal: ServerFacts) -> bool:
    # `cannot index parallel arrays [y] [x]`: names without what is above them.
    return any(f"[{name}]" in str(refusal.get("errmsg", "")) for name in path.split("."))


def _fields(rule: Any, above: str) -> Iterator[str]:
    """The dotted paths that a query, an expression or a `$jsonSchema` speaks of, and few others."""
    if isinstance(rule, str) and rule.startswith("$"):
        yield rule.lstrip("$").removeprefix("ROOT.").removeprefix("CURRENT.")
    elif isinstance(rule, list):
        for each in rule:
            yield from _fields(each, above)
    elif isinstance(rule, Mapping):
        for key, below in rule.items():
            if key in ("properties", "dependencies") and isinstance(below, Mapping):
                for name, schema in below.items():
                    yield above + name
                    yield from _fields(schema, f"{above}{name}.")
            elif key == "required" and isinstance(below, list):
                yield from _texts(below, above)
            else:
                if not key.startswith("$") and key not in _WORDS:
                    yield above + key
                yield from _fields(below, above)


def _refused(details: Any, above: str) -> Iterator[str]:
    """The dotted paths that the server's account of a failed validation names."""
    if isinstance(details, list):
        for each in details:
            yield from _refused(each, above)
    elif isinstance(details, Mapping):
        name = details.get("propertyName") or details.get("conditionalProperty")
        if isinstance(name, str):
            yield above + name
            above = f"{above}{name}."
        operator = str(details.get("operatorName", ""))
        for key, below in details.items():
            if key == "specifiedAs":
                if operator.startswith("$") and operator != "$jsonSchema":
                    yield from _fields(below, "")
            elif key == "additionalProperties" and isinstance(below, list):
                yield from _texts(below, above)
            elif key not in _VALUES:
                yield from _refused(below, above)


def _texts(names: Iterable[Any], above: str) -> Iterator[str]:
    return (above + name for name in names if isinstance(name, str))
