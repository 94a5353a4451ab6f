"""Draw schemas with aliases, and say what an alias means by a model that shares nothing."""

from __future__ import annotations

import copy
from typing import Any

from bson import BSON
from hypothesis import strategies as st

from consumer.core.errors import SetupError
from consumer.core.paths import ANY_KEY, ITEM, Path, to_key, to_segment
from consumer.events.documents import encode
from consumer.schemas.check import compile_schema
from consumer.schemas.defaults import fill
from consumer.schemas.fillable import fills
from consumer.schemas.json_types import join_masks, mask_of
from consumer.schemas.manual_changes import alias, alias_value
from consumer.schemas.model import SchemaVersion
from consumer.schemas.policy import Defaults
from tests.support.strategies import NOW, learn

Document = dict[str, Any]

# Few, so that fields meet, and some that are hard to write in MongoDB.
_keys = st.sampled_from(["a", "b", "c", "a.b", "$x", "", "*", "é"])
_scalars = st.sampled_from([None, True, 0, 7, 2**40, 2**70, 1.5, 1.0, "", "text", "é" * 40])
_values = st.recursive(
    _scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(_keys, below, max_size=4),
    max_leaves=10,
)
payloads = st.dictionaries(_keys, _values, max_size=5)
_texts = st.sampled_from(["null", "true", "7", "1.5", "text", "{}", '{"a": 7, "b": "x"}', "[1]"])
defaults = st.builds(
    Defaults,
    typed=st.booleans(),
    values=st.dictionaries(st.sampled_from([("a",), ("b",), ("a", "b")]), _values, max_size=1),
    max_bytes=st.sampled_from([60, 150, 65_536]),
)


@st.composite
def aliased(draw: st.DrawFn, head: SchemaVersion | None = None) -> SchemaVersion:
    """A schema that a few payloads made, with up to three aliases."""
    version = head or learn(draw(st.lists(payloads, min_size=1, max_size=4)))
    known = [field.path for field in version.live]
    if not known:
        return version
    paths = st.sampled_from(known) | st.lists(_keys, min_size=1, max_size=3).map(
        lambda keys: tuple(map(to_segment, keys))
    )
    for _ in range(draw(st.integers(1, 5))):
        old = draw(st.sampled_from(known))
        try:
            if draw(st.integers(0, 3)):
                made = alias(version, old, draw(paths), NOW)
            else:
                made = alias_value(version, old, draw(_texts), NOW)
        except SetupError:
            continue
        version = made or version
    return version


def bson_size(value: Any) -> int:
    """Bytes of a value alone."""
    return len(BSON(encode({"v": value}).raw)) - 8


def model(payload: Document, head: SchemaVersion, filling: Defaults) -> Document:
    """The payload as it should be stored, by the words of the rule."""
    given = copy.deepcopy(payload)
    result = copy.deepcopy(payload)
    known = {field.path: field.mask for field in head.live}
    order = {field.path: at for at, field in enumerate(head.fields)}
    room = filling.max_bytes - sum(f.size for f in fills(head, filling).values() if not f.beyond)
    in_force = sorted(head.aliases_in_force, key=lambda each: (order[each.old], each.new is None))
    for each in in_force:
        keys = list(map(to_key, each.old))
        holder, steps = result, 0
        while steps < len(keys) and isinstance(holder, dict) and keys[steps] in holder:
            holder, steps = holder[keys[steps]], steps + 1
        if steps == len(keys) or not isinstance(holder, dict):
            continue
        value: Any = each.value
        if each.new is not None:
            found, value = True, given
            for key in map(to_key, each.new):
                found = found and isinstance(value, dict) and key in value
                value = value[key] if found else None
            if not found:
                continue
        taken, value = taking(copy.deepcopy(value), each.old, known)
        cost = sum(12 + len(key.encode()) for key in keys) + bson_size(value)
        if not taken or cost > room:
            continue
        room -= cost
        for key in keys[steps:-1]:
            holder = holder.setdefault(key, {})
        holder[keys[-1]] = value
    plain = compile_schema(SchemaVersion(head.subject, head.number, head.fields, (), NOW), filling)
    fill(result, plain.check(result))
    return result


def taking(value: Any, path: Path, known: dict[Path, int]) -> tuple[bool, Any]:
    if isinstance(value, dict) and known.get(path) and (*path, ANY_KEY) not in known:
        if join_masks(known[path], mask_of(value)) != known[path]:
            return False, None
        parts = {}
        for key, child in value.items():
            taken, part = taking(child, (*path, to_segment(key)), known)
            if taken:
                parts[key] = part
        return True, parts
    return (True, value) if fits(value, path, known) else (False, None)


def fits(value: Any, path: Path, known: dict[Path, int]) -> bool:
    mask = known.get(path, 0)
    if not mask:
        return True
    if join_masks(mask, mask_of(value)) != mask:
        return False
    if isinstance(value, list):
        return all(fits(each, (*path, ITEM), known) for each in value)
    if isinstance(value, dict):
        is_map = (*path, ANY_KEY) in known
        places = {key: (*path, ANY_KEY if is_map else to_segment(key)) for key in value}
        return all(fits(each, places[key], known) for key, each in value.items())
    return True
