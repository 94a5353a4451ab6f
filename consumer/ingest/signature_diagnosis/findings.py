"""Describe what would make a refused signature verify, free of secrets and payload values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from config.settings import MAIN_FIELDS

Kind = Literal["settings", "doubled", "clock", "secret", "body", "unsupported"]

# The one that is hardest to put right names the finding.
_BY_SEVERITY: tuple[Kind, ...] = ("settings", "doubled", "clock", "secret", "body", "unsupported")


@dataclass(frozen=True, slots=True)
class Finding:
    """The difference that was found, for people (`advice`), and the `settings` (name, value) that
    are part of the remedy; with kind `settings` they are all of it."""

    kind: Kind
    advice: str
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Remark:
    """Something no setting puts right: what it is and what to do."""

    kind: Kind
    text: str


def finding(settings: Sequence[tuple[str, str]], remarks: Sequence[Remark]) -> Finding | None:
    """Settings and remarks as one finding; None when there is neither."""
    if not settings and not remarks:
        return None
    texts = [remark.text for remark in remarks]
    if settings:
        wanted = " and ".join(f"{name}={value or '(empty)'}" for name, value in settings)
        texts.insert(0, f"would verify with {wanted}")
    kinds: list[Kind] = [remark.kind for remark in remarks] or ["settings"]
    return Finding(max(kinds, key=_BY_SEVERITY.index), "; and ".join(texts), tuple(settings))


# Settings of the main source, and the keys for the same in the table of another.
_KEYS = {field.upper(): key for key, field in MAIN_FIELDS.items()}
_NAME = re.compile(r"CXONE_[A-Z_]+")


def in_table_of(source: str, found: Finding) -> Finding:
    """The finding in the words of the table of a source."""
    advice = _NAME.sub(lambda name: _KEYS.get(name[0], name[0]), found.advice)
    settings = tuple((_KEYS.get(name, name), value) for name, value in found.settings)
    return replace(found, advice=f"[sources.{source}]: {advice}", settings=settings)
