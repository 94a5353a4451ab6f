"""Count how many payloads send each known field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from consumer.core.paths import ANY_KEY, ITEM, Path, to_segment
from consumer.schemas.model import SchemaVersion


def presence(version: SchemaVersion, payloads: Iterable[dict[str, Any]]) -> Counter[Path]:
    """Count for each live path the payloads in which it stands, once or more; null counts too.

    Payloads are as sent: take out what was filled before.
    """
    known = {field.path for field in version.live}
    counted: Counter[Path] = Counter()
    for payload in payloads:
        seen: set[Path] = set()
        _walk(payload, (), known, seen)
        counted.update(seen)
    return counted


def _walk(value: Any, path: Path, known: set[Path], seen: set[Path]) -> None:
    if isinstance(value, dict):
        any_key = (*path, ANY_KEY)
        for key, child in value.items():
            here = any_key if any_key in known else (*path, to_segment(key))
            if here in known:
                seen.add(here)
                _walk(child, here, known, seen)
    elif isinstance(value, list):
        here = (*path, ITEM)
        if value and here in known:
            seen.add(here)
            for child in value:
                _walk(child, here, known, seen)
