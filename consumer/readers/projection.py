"""Say what a reader sees of a document: exactly the fields of the version it is pinned to.

`shown` is the meaning; `readers.view` has MongoDB do the same.
"""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bson.decimal128 import Decimal128
from bson.int64 import Int64

from config.settings import MASK
from consumer.core.paths import ANY_KEY, ITEM, RESERVED, Path, is_key, is_reserved, to_key
from consumer.readers.pins import Pin
from consumer.schemas.alias_expressions import Step, placed
from consumer.schemas.aliases import Aliases, place
from consumer.schemas.check import compile_schema
from consumer.schemas.export import shape_with_defaults
from consumer.schemas.expressions import nesting
from consumer.schemas.fillable import fills
from consumer.schemas.json_types import ARRAY, BOOLEAN, INTEGER, NUMBER, OBJECT, STRING
from consumer.schemas.model import SchemaVersion
from consumer.schemas.provenance import Stored, rule_origins
from consumer.schemas.shape import Shape

# Fields of ours that a view shows.
OURS = ("_id", "schema_version", "processed_at")
# Text that may be JSON, in which hidden fields may stand. PCRE and Python read it alike.
LIKE_JSON = '^[ \t\r\n\ufeff]*[\\[{"]'

# MongoDB takes 200 levels of documents in each other (code 15); what reads a view needs some too.
_DEEPEST = 160
# Levels around the expressions of a view, and those that one value takes at most, without default.
_BEGIN = 4
_OWN = 12
# One table for this many scalars of an object costs MongoDB less than a check for each, wherever
# levels are not scarce.
_MANY = 6
_SHALLOW = 80
_MISSING = object()
_KINDS: Mapping[type, int] = {
    bool: BOOLEAN,
    int: INTEGER,
    Int64: INTEGER,
    float: NUMBER,
    str: STRING,
    list: ARRAY,
}


@dataclass(frozen=True, slots=True)
class Node:
    """One path of a version. `types` 0: no type, or none that can be shown.

    `keys` are those of an object, in the order of the version; a map has `any_key`. What is absent
    is `default`. A `masked` value is hidden; `inner`: texts that may be JSON are. The scalars of a
    `tabular` object are looked up in a table.
    """

    types: int = 0
    keys: Mapping[str, Node] = field(default_factory=dict)
    any_key: Node | None = None
    item: Node | None = None
    default: Any = None
    masked: bool = False
    inner: bool = False
    keep: bool = False
    tabular: bool = False

    @property
    def is_scalar(self) -> bool:
        return bool(self.types) and not self.types & (OBJECT | ARRAY) and not self.masked


@dataclass(frozen=True, slots=True)
class NotShown:
    """A path that the view cannot show as it is sent, and why; an open one has no type yet."""

    path: Path
    why: str
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Projection:
    """Fields that the view of one pin shows: `fields` by name at the top level, and the `steps` of
    aliases that put something in such a field first, whether it is shown or not."""

    subject: str
    fields: Mapping[str, Node]
    steps: Mapping[str, Sequence[Step]]
    not_shown: tuple[NotShown, ...] = ()


def projection_of(
    pin: Pin,
    version: SchemaVersion,
    head: SchemaVersion | None = None,
    hides: Callable[[Path], bool] | None = None,
) -> Projection:
    """The projection of a pin on its version, with the aliases of the `head`. `hides` says of a
    path whether its values are masked; for a pin that masks nothing it is not asked."""
    build = _Build(pin, version, hides if pin.redact else None)
    fields: dict[str, Node] = {}
    steps = build.steps(head or version)
    for segment, child in shape_with_defaults(version, pin.defaults).children.items():
        key = to_key(segment) if is_key(segment) else ""
        if is_key(segment) and is_reserved(key):
            build.left_out((segment,), "it is kept aside, for MongoDB or we have that name")
        elif not _is_name(key):
            build.left_out((segment,), "a projection cannot name such a key at the top level")
        else:
            fields[key] = build.node(child, (segment,), _BEGIN)
    return Projection(version.subject, fields, steps, tuple(build.not_shown))


class _Build:
    def __init__(
        self, pin: Pin, version: SchemaVersion, hides: Callable[[Path], bool] | None
    ) -> None:
        self._keep = pin.mismatch == "keep"
        self._hides = hides
        # The bounds on growth are those of what is stored.
        self._filling = replace(pin.defaults, max_bytes=sys.maxsize, max_fields=sys.maxsize)
        self._defaults = {
            version.fields[position].path: fill.value
            for position, fill in fills(version, self._filling).items()
        }
        self.not_shown: list[NotShown] = []

    def left_out(self, path: Path, why: str) -> None:
        self.not_shown.append(NotShown(path, why))

    def steps(self, head: SchemaVersion) -> dict[str, list[Step]]:
        """The steps of the head's aliases, by the top-level field that each puts something in: the
        same for all pins with the same defaults."""
        aliases = compile_schema(head, self._filling).aliases if head.aliases_in_force else None
        found: dict[str, list[Step]] = {}
        for rule in aliases.rules if aliases else ():
            if not _is_name(name := to_key(rule.path[0])):
                continue
            origins = rule_origins(rule, head, self._filling)
            steps = [*found.get(name, ()), Step(rule, origins, here="$$root")]
            if _BEGIN + nesting(placed(name, steps)) > _DEEPEST:
                self.left_out(rule.path, "its alias lies deeper than MongoDB takes")
            else:
                found[name] = steps
        return found

    def node(self, shape: Shape, path: Path, level: int) -> Node:
        """The node at `path`, whose expression begins below `level` levels of documents."""
        if not shape.types:
            self.not_shown.append(NotShown(path, "no type is known", is_open=True))
            return Node()
        default = self._defaults.get(path)
        if level + _OWN + _levels(default) > _DEEPEST:
            self.left_out(path, "it lies deeper than MongoDB takes")
            return Node()
        masked = self._hides is not None and self._hides(path)
        node = Node(
            shape.types,
            default=None if masked else default,
            masked=masked,
            inner=self._hides is not None,
            keep=self._keep,
        )
        if masked:
            return node
        if shape.types & OBJECT:
            node = self._object(node, shape, path, level + 3)
        if shape.types & ARRAY and ITEM in shape.children:
            below = level + (6 if shape.types & OBJECT else 4)
            node = replace(node, item=self.node(shape.children[ITEM], (*path, ITEM), below))
        return node

    def _object(self, node: Node, shape: Shape, path: Path, level: int) -> Node:
        if ANY_KEY in shape.children:
            below = (*path, ANY_KEY)
            return replace(node, any_key=self.node(shape.children[ANY_KEY], below, level + 4))
        names = [segment for segment in shape.children if is_key(segment)]
        odd = any(map(is_odd, map(to_key, names)))
        scalars = [each for each in names if not shape.children[each].types & (OBJECT | ARRAY)]
        tabular = len(scalars) >= _MANY and level < _SHALLOW
        keys = {
            to_key(segment): self.node(
                shape.children[segment],
                (*path, segment),
                # An odd key is bound to a variable first.
                level + 2 * tabular + 3 * odd + 2 * is_odd(to_key(segment)),
            )
            for segment in names
        }
        return replace(node, keys=keys, tabular=tabular)


def _is_name(key: str) -> bool:
    """True for a key that a stage of a pipeline can name at the top level."""
    return bool(key) and "." not in key


def is_odd(key: str) -> bool:
    """True for a key that no path of an expression can name."""
    return not key or "." in key or key.startswith("$")


def shown(projection: Projection, document: Mapping[str, Any]) -> dict[str, Any]:
    """The reader's sight of a document of the subject, as it is read from MongoDB."""
    payload = copy.deepcopy({k: v for k, v in document.items() if k not in RESERVED})
    steps = [step for each in projection.steps.values() for step in each]
    origins = {step.rule.position: step.origins for step in steps}
    rules = tuple(step.rule for step in steps)
    place(payload, Aliases(rules, sys.maxsize), (), Stored(document, origins))
    found = {name: document[name] for name in OURS if name in document}
    for name, node in projection.fields.items():
        found[name] = _at(node, payload.get(name, _MISSING))
    return found


def _at(node: Node, value: Any) -> Any:
    return given(node) if value is _MISSING else _present(node, value)


def _present(node: Node, value: Any) -> Any:  # noqa: PLR0911 - kinds
    if value is None or not node.types:
        return None
    if node.masked:
        return MASK if node.types & STRING else None
    if isinstance(value, Mapping) and node.types & OBJECT:
        many, keys = node.any_key, node.keys.items()
        if many is not None:
            return {key: _present(many, each) for key, each in value.items()}
        return {key: _at(child, value.get(key, _MISSING)) for key, child in keys}
    if isinstance(value, list) and node.types & ARRAY:
        return [] if node.item is None else [_present(node.item, each) for each in value]
    if node.inner and (isinstance(value, Mapping | list)):
        # Nobody looks into what is not known.
        return None
    if node.inner and isinstance(value, str) and _LIKE_JSON(value):
        value = MASK
    return value if node.keep or _is_known(node, value) else None


def given(node: Node) -> Any:
    """The default as it is shown: filled downwards."""
    return None if node.default is None else _present(node, copy.deepcopy(node.default))


def _is_known(node: Node, value: Any) -> bool:
    types = node.types
    if types & NUMBER:
        types |= INTEGER
    return bool(types & _kind(value))


def _kind(value: Any) -> int:
    """The JSON type of a value as it is read; 0 for what JSON does not have."""
    if isinstance(value, Mapping):
        return OBJECT
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        whole = number.is_finite() and number == number.to_integral_value()
        return INTEGER if whole else NUMBER
    return _KINDS.get(type(value), 0)


def _levels(value: Any) -> int:
    if isinstance(value, Mapping | list | tuple):
        inside = value.values() if isinstance(value, Mapping) else value
        return 1 + max(map(_levels, inside), default=0)
    return 0


_LIKE_JSON = re.compile(LIKE_JSON).search
