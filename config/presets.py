"""Presets: what is known of the ways in which products of NICE, and others, send.

A row holds values of a source as its table has them; what is set beside it wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Preset:
    """One way of sending: `values` by the keys of `[sources.NAME]`."""

    title: str
    values: Mapping[str, object]


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "data-action": Preset("CXone Data Action, with an HMAC over the body", {}),
    }
)
