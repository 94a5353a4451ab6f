"""Name what speaks against a change: a reader that it would break, or a person who rejected it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from consumer.core.paths import Path
from consumer.schemas.json_types import ARRAY, OBJECT
from consumer.schemas.model import Change
from consumer.schemas.shape import Shape

# What becomes of a delivery that brings a rejected change.
Then = Literal["hold", "store", "discard"]
# They add a path or a type.
_BROUGHT = frozenset({"field_added", "type_widened", "type_conflict", "became_map"})


@dataclass(frozen=True, slots=True)
class RejectedChange:
    """A person's no to whatever is new at a path and below it; with `types`, a mask, only to these
    at the path itself and to what comes with them."""

    path: Path
    then: Then = "hold"
    types: int = 0

    def is_about(self, change: Change) -> bool:
        if change.kind not in _BROUGHT or change.path[: len(self.path)] != self.path:
            return False
        if not self.types:
            return True
        if change.path == self.path:
            return bool(change.after & ~(change.before or 0) & self.types)
        return bool(self.types & (OBJECT | ARRAY)) and change.before is None


@dataclass(frozen=True, slots=True)
class Objections:
    """All that speaks against changes of one subject: `broken` names the readers that one would
    break. `fingerprint` differs where it does, and is empty where nothing does."""

    broken: Callable[[Change], Sequence[str]] = lambda _: ()
    rejected: tuple[RejectedChange, ...] = ()
    fingerprint: str = ""

    def among(self, changes: Iterable[Change], then: Then) -> tuple[Change, ...]:
        """The changes that were rejected, and with which such deliveries end so."""
        named = [each for each in self.rejected if each.then == then]
        return tuple(c for c in changes if any(each.is_about(c) for each in named))

    def approved(self) -> Objections:
        """Those of an approval: rejected changes are left out of what it registers."""
        return Objections(rejected=tuple(replace(each, then="store") for each in self.rejected))


NONE = Objections()


def without(shape: Shape, changes: Iterable[Change]) -> Shape:
    """The shape without what these changes would add to what is known."""
    for change in changes:
        shape = _without(shape, change.path, change.before)
    return shape


def _without(shape: Shape, path: Path, known: int | None) -> Shape:
    child = shape.children.get(path[0])
    if child is None:
        return shape
    if len(path) > 1:
        left = {path[0]: _without(child, path[1:], known)}
    else:
        left = {} if known is None else {path[0]: Shape(child.types & known, child.children)}
    # In the order sent, which is that of new fields.
    return Shape(shape.types, dict(_replaced(shape, path[0], left)))


def _replaced(shape: Shape, name: str, left: dict[str, Shape]) -> Iterator[tuple[str, Shape]]:
    for segment, child in shape.children.items():
        if segment != name:
            yield segment, child
        elif name in left:
            yield segment, left[name]
