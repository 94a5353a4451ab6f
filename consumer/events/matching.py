"""Match payloads by a value at a path: `customer.email=ann@example.com`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain
from typing import Any

from bson.decimal128 import Decimal128

from consumer.core.body_reader import unescaped
from consumer.core.paths import (
    ANY_KEY,
    ITEM,
    Path,
    from_text,
    is_key,
    is_reserved,
    to_key,
    to_segment,
)
from consumer.schemas.aliases import led_to
from consumer.schemas.maps import is_data_key, names_one

_UNQUOTED_EQUALS = re.compile(r'((?:"(?:[^"\\]|\\.)*"|[^"=])+)=(.*)', re.DOTALL)
# As JSON writes them, so that 007 is text alone; no more digits than Decimal128 holds.
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,33}|(?:0|[1-9]\d{0,16})\.\d{1,17})", re.ASCII)
# MongoDB takes no longer ones.
_MOST_PATTERN = 16_000
_COUNT = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class WantedValue:
    """A value as a person types it: text, and also the number or boolean that it reads as; text
    alone where it is in double quotes."""

    text: str
    number: Decimal | None = None
    truth: bool | None = None

    def fits(self, value: Any) -> bool:
        if isinstance(value, str):
            return value == self.text
        if isinstance(value, bool):
            return value is self.truth
        if self.number is None or not isinstance(value, int | float | Decimal | Decimal128):
            return False
        exact = value.to_decimal() if isinstance(value, Decimal128) else value
        # 0.1 as JSON is read is not the decimal number 0.1.
        return exact == (float(self.number) if isinstance(exact, float) else self.number)

    def in_bson(self) -> list[Any]:
        """The values as a query names them; MongoDB compares numbers of all kinds."""
        found: list[Any] = [self.text]
        if self.number is not None:
            found += [Decimal128(self.number), float(self.number)]
        return found if self.truth is None else [*found, self.truth]

    def fits_key(self, key: Any) -> bool:
        """True for the id of an event, and for one of several that are joined."""
        if self.fits(key):
            return True
        if not isinstance(key, str) or not key.startswith("["):
            return False
        try:
            parts = json.loads(key)
        except (ValueError, RecursionError):
            return False
        return isinstance(parts, list) and any(map(self.fits, parts))

    def keys_in_bson(self) -> list[Any]:
        """The ids as a query names them, those among others that are joined too: perhaps more."""
        parts = {json.dumps(self.text)}
        if self.number is not None:
            parts |= {self.text, json.dumps(float(self.number)), f"{self.number:f}"}
        part = "|".join(re.escape(each) for each in sorted(parts))
        if len(part) > _MOST_PATTERN:
            return self.in_bson()
        return [*self.in_bson(), re.compile(rf"^\[(?:.*, )?(?:{part})(?:, |\]$)")]

    def in_body(self) -> str:
        """A regular expression of how it may stand in a body that cannot be read."""
        bare = rf"|{re.escape(self.text)}(?![\w.])" if self.number is not None or self.truth else ""
        return f"""(?:["']{_written(self.text)}["']{bare})"""


@dataclass(frozen=True, slots=True)
class Condition:
    """A value at a path; lists on the way are looked through whether the path says so or not.
    `by_key`: whoever has the value may have it as a key. `also`: other paths where it stands, for
    an alias fills one of them from another."""

    path: Path
    wanted: WantedValue
    by_key: bool = True
    also: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All places of the value."""
        return (self.path, *self.also)

    def with_aliases(self, pairs: Iterable[tuple[Path, Path]]) -> Condition:
        """The same, where fields are filled from one another."""
        return replace(self, also=tuple(led_to(self.paths, pairs, _rests)[1:]))

    @property
    def as_name(self) -> str | None:
        """The value, where it tells by itself whose it is, so that it may stand as a key too."""
        return self.wanted.text if self.by_key and names_one(self.wanted.text) else None

    @property
    def as_key(self) -> str | None:
        """The value, where the object at the path may have it as a key."""
        text = self.wanted.text
        return text if self.by_key and (is_data_key(text) or " " in text) else None

    def holds(self, payload: Any, *, sure: bool = True) -> bool:
        """True where the value stands there, or is a key there, or as a name a key anywhere. Unless
        it is `sure` that keys were sent, one counts only with something below it."""
        key, name = self.as_key, self.as_name
        for value in chain.from_iterable(_values(payload, path) for path in self.paths):
            if self.wanted.fits(value) or (key is not None and _has(value, key, sure=sure)):
                return True
        return name is not None and any(_has(each, name, sure=sure) for each in _parts(payload))

    def may_hold(self, body: str) -> bool:
        """True for a body that cannot be read and has the value behind the path's last key, or as a
        name in front of a colon."""
        lasts = {path[-1] for path in self.paths}
        keys = (r"""["'\w]""" if last == ANY_KEY else _written(to_key(last)) for last in lasts)
        key = f"(?:{'|'.join(keys)})"
        # No two repetitions may meet: a megabyte of blanks would take minutes.
        pattern = rf"""{key}["']?\s*[:=]\s*(?:\[\s*)?{self.wanted.in_body()}"""
        if self.as_name is not None:
            pattern += rf"""|["']{_written(self.wanted.text)}["']\s*:"""
        return any(re.search(pattern, text) for text in unescaped(body))


def _rests(path: Path, field: Path) -> list[Path]:
    met = all(segment in (other, ANY_KEY) for segment, other in zip(path, field, strict=False))
    return [path[len(field) :]] if met and len(path) >= len(field) else []


def _has(value: Any, key: str, *, sure: bool) -> bool:
    has = isinstance(value, Mapping) and key in value
    return has and (sure or _says_something(value[key]))


def _says_something(value: Any) -> bool:
    """True where some part is more than null, false, zero or empty."""
    return any(not isinstance(each, Mapping | list) and bool(each) for each in _parts(value))


def _parts(root: Any) -> Iterator[Any]:
    stack = [root]
    while stack:
        value = stack.pop()
        yield value
        if isinstance(value, Mapping):
            stack += value.values()
        elif isinstance(value, list):
            stack += value


def _written(text: str) -> str:
    """A regular expression of a text as it is, and as JSON writes it."""
    forms = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    return f"(?:{'|'.join(re.escape(form) for form in sorted(forms))})"


def read_condition(text: str) -> Condition:
    """The condition `PATH=VALUE`; a PATH is written as everywhere, or as JSON Pointer. Raises
    ValueError that says what is wrong, without the value."""
    found = _UNQUOTED_EQUALS.fullmatch(text)
    if found is None:
        raise ValueError("a condition is FIELD=VALUE, like customer.email=ann@example.com")
    return Condition(read_path(found[1]), read_value(found[2]))


def read_path(text: str) -> Path:
    """Its keys alone: lists are looked through anyway. Raises ValueError."""
    if text.startswith("/"):
        keys = (part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))
        return tuple(to_segment(key) for key in keys)
    path = tuple(segment for segment in from_text(text) if segment != ITEM)
    if not path:
        raise ValueError("the field is missing in front of the =")
    return path


def read_value(text: str) -> WantedValue:
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return WantedValue(json.loads(text))
        except ValueError:
            return WantedValue(text)
    truth = {"true": True, "false": False}.get(text)
    return WantedValue(text, Decimal(text) if _NUMBER.fullmatch(text) else None, truth)


def _values(root: Any, path: Path) -> Iterator[Any]:
    # Without recursion, for a dead letter may nest deeper than Python's calls; and each list once,
    # for counted items lead to one in more ways than there are lists.
    stack: list[tuple[Any, Path]] = [(root, path)]
    seen: set[tuple[int, int]] = set()
    while stack:
        value, path = stack.pop()
        if isinstance(value, list):
            if (here := (id(value), len(path))) in seen:
                continue
            seen.add(here)
            stack += [(item, path) for item in value]
            if path and (index := _index(path[0])) is not None and index < len(value):
                stack.append((value[index], path[1:]))
        elif not path:
            yield value
        elif isinstance(value, Mapping):
            if not is_key(path[0]):
                stack += [(item, path[1:]) for item in value.values()]
            elif (key := to_key(path[0])) in value:
                stack.append((value[key], path[1:]))


def _index(segment: str) -> int | None:
    """A JSON Pointer may count the items of a list."""
    return int(segment) if _COUNT.fullmatch(segment) else None


def clauses_of(condition: Condition) -> list[dict[str, Any]]:
    """Clauses of a query for it: they find all that is wanted, and perhaps more."""
    found = [_clause_at(condition, path) for path in condition.paths]
    if len(found) == 1 or not all(found):
        return found[0] if len(found) == 1 else []
    return [{"$or": [{"$and": each} for each in found]}]


def _clause_at(condition: Condition, path: Path) -> list[dict[str, Any]]:
    if is_key(path[0]) and is_reserved(to_key(path[0])):
        return [{"_meta.shadowed.name": to_key(path[0])}]
    keys = []
    for segment in path:
        # In a dotted path such a key would mean something else.
        key = to_key(segment)
        if not is_key(segment) or not key or "." in key or key.startswith("$"):
            break
        keys.append(key)
    if not keys:
        return []
    if len(keys) < len(path):
        return [{".".join(keys): {"$exists": True}}]
    # MongoDB looks through a list, but not through a list in a list.
    nested: list[dict[str, Any]] = [
        {".".join(keys[:count]): {"$elemMatch": {"$type": "array"}}}
        for count in range(1, len(keys) + 1)
    ]
    if condition.as_key is not None:
        nested.append({".".join(keys): {"$type": "object"}})
    return [{"$or": [{".".join(keys): {"$in": condition.wanted.in_bson()}}, *nested]}]
