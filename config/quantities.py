"""Read numbers, sizes and times as people write them, and show them again so."""

from __future__ import annotations

import re
from typing import Any

# Largest first, so that the longest suffix that divides a size is shown.
_SIZES = {"GiB": 1 << 30, "GB": 10**9, "MiB": 1 << 20, "MB": 10**6, "KiB": 1 << 10, "KB": 10**3}
_DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z]*)", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def whole(value: object) -> object:
    """An integer as text or number; a bool or a fraction is none."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    if type(value) is int:
        return value
    raise ValueError


def size(value: object) -> object:
    """Bytes: `65536`, `512KiB` (1024) or `1MB` (10**6); the suffix without regard to case."""
    if not isinstance(value, str):
        return whole(value)
    number, factor = _quantity(value, {**_SIZES, "B": 1, "": 1})
    amount = number * factor
    if amount != int(amount):
        raise ValueError
    return int(amount)


def duration(value: object) -> object:
    """Seconds: `5`, `0.25`, `250ms`, `30s`, `5m` or `1h`."""
    if isinstance(value, str):
        number, factor = _quantity(value, {**_DURATIONS, "": 1.0})
        return number * factor
    if type(value) in (int, float):
        return value
    raise ValueError


def _quantity(text: str, units: dict[str, Any]) -> tuple[float, Any]:
    match = _NUMBER.fullmatch(text.strip())
    factors = {unit.lower(): factor for unit, factor in units.items()}
    if match is None or match[2].lower() not in factors:
        raise ValueError
    number = float(match[1]) if "." in match[1] else int(match[1])
    return number, factors[match[2].lower()]


def show_size(value: int) -> str:
    for unit, factor in _SIZES.items():
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


def show_duration(value: float) -> str:
    unit = next((name for name in ("h", "m") if value and value % _DURATIONS[name] == 0), "s")
    if 0 < value < 1:
        unit = "ms"
    return f"{value / _DURATIONS[unit]:g}{unit}"


def choice(value: object) -> object:
    """Words and numbers of a fixed choice, without regard to case."""
    if isinstance(value, str):
        text = value.strip()
        return int(text) if _WHOLE.fullmatch(text) else text.lower()
    return whole(value)
