"""Read the JSON Schema of a planned change, or a payload, as a shape: what may be sent.

A subset, whole: a keyword that is not in it is a fault, for what was not understood must not be
called harmless. Nothing is fetched: `$ref` points into the document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from consumer.core.errors import SetupError
from consumer.core.paths import ANY_KEY, ITEM, Path, is_key, to_segment, to_text
from consumer.schemas.evolution import changes
from consumer.schemas.infer import infer
from consumer.schemas.json_types import ARRAY, BITS, INTEGER, NUMBER, OBJECT, join_masks, mask_of
from consumer.schemas.model import Change, SchemaVersion, shape_of
from consumer.schemas.policy import Guards, SubjectPolicy
from consumer.schemas.shape import EMPTY, Shape, fold

# They say nothing of paths and types, or narrow values only.
_SILENT = frozenset(
    """$schema $id $comment $defs definitions title description default examples deprecated readOnly
    writeOnly format contentEncoding contentMediaType minLength maxLength pattern minimum maximum
    exclusiveMinimum exclusiveMaximum multipleOf minItems maxItems uniqueItems minProperties
    maxProperties required""".split()  # noqa: SIM905  (a list of words)
)
_READ = frozenset(
    """$ref type enum const properties additionalProperties items prefixItems allOf anyOf
    oneOf""".split()  # noqa: SIM905
)
_EVERY = OBJECT | ARRAY | NUMBER | BITS["boolean"] | BITS["string"]
# A few references that double at each step would name more parts than anybody can read.
_MOST_PARTS = 20_000
_MOST_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Planned:
    """Paths and types that payloads by a schema may have; `closed` are the objects in which it
    allows nothing else, `never` the fields that it forbids."""

    shape: Shape
    closed: frozenset[Path]
    never: frozenset[Path] = frozenset()

    def changes(self, version: SchemaVersion) -> list[Change]:
        """Changes from a version; `vanished` is the topmost field that can be sent no more."""
        known = shape_of(version)
        found = changes(known, _spread(self.shape, known))
        for each in version.live:
            within = self._at(each.path[:-1]) if each.path[:-1] in self.closed else None
            if each.path in self.never or (within and each.path[-1] not in within.children):
                found.append(Change("vanished", each.path, each.mask, each.mask))
        return found

    def _at(self, path: Path) -> Shape | None:
        node: Shape | None = self.shape
        for segment in path:
            node = node.children.get(segment) if node else None
        return node


def _spread(planned: Shape, known: Shape) -> Shape:
    """The planned shape with each known key that it does not name in the place of its `*`: others
    are new, and what all of them may be says nothing of one."""
    children = dict(planned.children)
    if ANY_KEY in children and ANY_KEY in known.children:
        children = fold(children)
    elif ANY_KEY in children:
        other = children.pop(ANY_KEY)
        children |= {key: other for key in known.children if is_key(key) and key not in children}
    return Shape(
        planned.types,
        {key: _spread(child, known.children.get(key, EMPTY)) for key, child in children.items()},
    )


@dataclass(slots=True)
class _Part:
    """The word of one subschema: None for types that it leaves open, `closed` for objects that may
    hold nothing else, `never` for what may not be there."""

    types: int | None = None
    children: dict[str, _Part] = field(default_factory=dict)
    closed: bool = False
    never: bool = False


def read(schema: Any) -> Planned:
    """The planned shape of payloads; raises SetupError, which names the place, for what is no
    JSON Schema of the subset."""
    try:
        part = _Reader(schema).part(schema, (), ())
    except RecursionError:
        raise SetupError("the schema: too many parts in each other") from None
    closed: set[Path] = set()
    never: set[Path] = set()
    shape = _shape(part, (), closed, never)
    return Planned(Shape(OBJECT, shape.children), frozenset(closed), frozenset(never))


def of_payload(payload: dict[str, Any], policy: SubjectPolicy, guards: Guards) -> Planned:
    """The shape of one payload, as far as the guards let it be known."""
    return Planned(infer(payload, EMPTY, policy.pins, guards).shape, frozenset())


class _Reader:
    def __init__(self, document: Any) -> None:
        self._document = document
        self._parts = 0

    def part(self, schema: Any, place: Path, through: tuple[str, ...]) -> _Part:
        """Read the subschema for a place in payloads; `through` are the references on the way
        to it that stand for the same place."""
        self._parts += 1
        if self._parts > _MOST_PARTS or len(place) > _MOST_DEPTH:
            raise SetupError(f"{_named(place)}: too many parts: does it refer to itself?")
        if schema is True:
            return _Part()
        if not isinstance(schema, dict):
            raise SetupError(f"{_named(place)}: {type(schema).__name__} is no schema here")
        unknown = sorted(schema.keys() - _SILENT - _READ)
        if unknown:
            raise SetupError(f"{_named(place)}: the keyword {unknown[0]!r} is not understood")
        return reduce(_both, self._said(schema, place, through), _Part())

    def _said(self, schema: dict[str, Any], place: Path, through: tuple[str, ...]) -> list[_Part]:
        said = [self._own(schema, place)]
        if "$ref" in schema:
            ref = schema["$ref"]
            if ref in through or len(through) > _MOST_DEPTH:
                raise SetupError(f"{_named(place)}: {ref!r} refers to itself")
            said.append(self.part(self._target(ref, place), place, (*through, ref)))
        for each in _list(schema, "allOf", place):
            said.append(self.part(each, place, through))
        for keyword in ("anyOf", "oneOf"):
            ways = [self.part(each, place, through) for each in _list(schema, keyword, place)]
            if ways:
                said.append(reduce(_either, ways))
        return said

    def _own(self, schema: dict[str, Any], place: Path) -> _Part:
        """Read the keywords of one object, without references and choices."""
        part = _Part(_types(schema, place))
        for key, below in _object(schema, "properties", place).items():
            segment = to_segment(key)
            is_never = below is False
            part.children[segment] = (
                _Part(0, never=True) if is_never else self.part(below, (*place, segment), ())
            )
        others = schema.get("additionalProperties", True)
        part.closed = others is False
        if others not in (True, False, {}):
            part.children[ANY_KEY] = self.part(others, (*place, ANY_KEY), ())
        items = [*_list(schema, "prefixItems", place), schema.get("items", True)]
        known = [
            self.part(each, (*place, ITEM), ()) for each in items if each not in (True, False, {})
        ]
        if known:
            part.children[ITEM] = reduce(_either, known)
        return part

    def _target(self, ref: Any, place: Path) -> Any:
        if not isinstance(ref, str) or not ref.startswith("#"):
            raise SetupError(f"{_named(place)}: {ref!r} is not in this document")
        found = self._document
        for escaped in ref[1:].split("/")[1:]:
            key = escaped.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                raise SetupError(f"{_named(place)}: {ref!r} leads nowhere")
            found = found[key]
        if ref not in ("#", "") and not ref.startswith("#/"):
            raise SetupError(f"{_named(place)}: {ref!r} is no pointer: write #/$defs/NAME")
        return found


def _types(schema: dict[str, Any], place: Path) -> int | None:
    """The mask that `type`, `enum` and `const` allow; where they say nothing, what its other
    keywords are about."""
    types: int | None = None
    if "type" in schema:
        given = schema["type"]
        names = given if isinstance(given, list) else [given]
        wrong = [name for name in names if name not in ("null", *BITS)]
        if wrong:
            raise SetupError(f"{_named(place)}: {wrong[0]!r} is no type")
        types = reduce(join_masks, (BITS.get(name, 0) for name in names), 0)
    allowed = [[schema["const"]]] if "const" in schema else []
    allowed += [_list(schema, "enum", place)] if "enum" in schema else []
    for values in allowed:
        types = _narrowed(types, reduce(join_masks, map(mask_of, values), 0))
    if types is None:
        about = OBJECT if schema.keys() & {"properties", "additionalProperties"} else 0
        about |= ARRAY if schema.keys() & {"items", "prefixItems"} else 0
        types = about or None
    return types


def _narrowed(one: int | None, other: int | None) -> int | None:
    """Types that both allow; an integer is a number too."""
    if one is None or other is None:
        return other if one is None else one
    both = one & other
    if (one | other) & NUMBER and (one | other) & INTEGER and not both & NUMBER:
        both |= INTEGER
    return both


def _both(one: _Part, other: _Part) -> _Part:
    children = {**one.children}
    for segment, part in other.children.items():
        children[segment] = _both(children[segment], part) if segment in children else part
    types = _narrowed(one.types, other.types)
    return _Part(types, children, one.closed or other.closed, one.never or other.never)


def _either(one: _Part, other: _Part) -> _Part:
    if one.never or other.never:
        return other if one.never else one
    children: dict[str, _Part] = {}
    for segment in {**one.children, **other.children}:
        ways = [part.children[segment] for part in (one, other) if segment in part.children]
        # What only one of them forbids may come by the other.
        if len(ways) > 1 or not ways[0].never:
            children[segment] = reduce(_either, ways)
    types = None if one.types is None or other.types is None else join_masks(one.types, other.types)
    return _Part(types, children, one.closed and other.closed)


def _shape(part: _Part, path: Path, closed: set[Path], never: set[Path]) -> Shape:
    """The shape of a part; one that does not say which types allows every type."""
    if part.closed:
        closed.add(path)
    children: dict[str, Shape] = {}
    for segment, below in part.children.items():
        here = (*path, segment)
        if below.never:
            never.add(here)
        else:
            children[segment] = _shape(below, here, closed, never)
    return Shape(_EVERY if part.types is None else part.types, children)


def _list(schema: dict[str, Any], keyword: str, place: Path) -> list[Any]:
    found = schema.get(keyword, [])
    if not isinstance(found, list):
        raise SetupError(f"{_named(place)}: {keyword} wants a list")
    return found


def _object(schema: dict[str, Any], keyword: str, place: Path) -> dict[str, Any]:
    found = schema.get(keyword, {})
    if not isinstance(found, dict):
        raise SetupError(f"{_named(place)}: {keyword} wants an object")
    return found


def _named(place: Path) -> str:
    return to_text(place) or "the schema"
