"""Read several texts out of one setting: as `.env` files write them, or as a list of TOML."""

from __future__ import annotations

import re


def texts(value: object) -> tuple[object, ...]:
    """`env:prod,team:care` or the same with spaces; a TOML list of texts as well."""
    if isinstance(value, str):
        value = re.findall(r"[^,\s]+", value)
    if isinstance(value, list | tuple) and len(value) <= 100:
        return tuple(value)
    raise ValueError


def paths(value: object) -> tuple[object, ...]:
    """`customer.name,participants[].email`, or the same with spaces; a TOML list of texts as well.
    A path with a comma or space in a key has it in double quotes."""
    if isinstance(value, str):
        value = re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^",\s])+|"', value)
    if isinstance(value, list | tuple) and len(value) <= 200:
        return tuple(value)
    raise ValueError
