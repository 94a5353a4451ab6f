"""Tell an object used as a map, whose keys are data, from a record, whose keys are names."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Set
from dataclasses import dataclass

from consumer.schema.jsontypes import OBJECT, join_masks
from consumer.schema.paths import ANY_KEY, Path
from consumer.schema.policy import Pins

# A child as far as this decision needs it: its mask of types and the segments below it.
Profile = tuple[int, Set[str]]


@dataclass(frozen=True, slots=True)
class IdPattern:
    """Keys that look like ids when the whole key matches; `enough` of them make a map."""

    name: str
    pattern: re.Pattern[str]
    enough: int


# Conservative: a record that is taken for a map loses the names of its fields for good, while a map
# that is missed is found at its 101st key.
ID_PATTERNS = (
    IdPattern("uuid", re.compile(r"\{?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?", re.I), 1),
    IdPattern("hex of 24 or more", re.compile(r"(?=.*[0-9])[0-9a-f]{24,}", re.I), 1),
    # The first character is 0 until the year 3084; asking for it spares words in capitals.
    IdPattern("ulid", re.compile(r"0[0-9A-HJKMNP-TV-Z]{25}"), 1),
    IdPattern("number of 9 or more digits", re.compile(r"\+?[0-9]{9,}"), 1),
    IdPattern("number of 4 to 8 digits", re.compile(r"\+?[0-9]{4,8}"), 2),
    IdPattern("date", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+Z?)?"), 2),
)


def is_map(
    path: Path,
    keys: Collection[str],
    profiles: Callable[[], Collection[Profile]],
    pins: Pins,
    more_than: int,
) -> bool:
    """Whether the object at `path` with these keys (as segments) is a map; `profiles` are made only
    when they are needed, for keys may come by the ten thousand.

    The root never is, for it holds the envelope; a pin decides before all rules. Otherwise all keys
    look like ids, or there are `more_than` homogeneous children.
    """
    if not path or path in pins.objects:
        return False
    if path in pins.maps or are_ids(keys):
        return True
    return len(keys) > more_than and are_homogeneous(profiles())


def are_ids(keys: Collection[str]) -> bool:
    """Whether every key matches a row of ID_PATTERNS and some row has enough of them."""
    weight = 0.0
    for key in keys:
        row = next((row for row in ID_PATTERNS if row.pattern.fullmatch(key)), None)
        if row is None:
            return False
        weight += 1 / row.enough
    return weight >= 1


def are_homogeneous(children: Collection[Profile]) -> bool:
    """Whether the children all have one and the same type (null aside, integers being numbers too),
    and as objects share their fields: on average each has at least half of all that any has."""
    types = 0
    for mask, _ in children:
        types = join_masks(types, mask)
    if types.bit_count() != 1:
        return False
    if types != OBJECT:
        return True
    names = set[str]().union(*(below for _, below in children))
    if ANY_KEY in names:
        # Children that are maps themselves share no names, and need not.
        return True
    return 2 * sum(len(below) for _, below in children) >= len(children) * len(names)
