"""The ways a screen can end other than by showing its template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "bad", "info"]


@dataclass(frozen=True, slots=True)
class Done:
    """A deed that ended: go to `where` (a path of the console), which shows `said`."""

    where: str
    said: str
    tone: Tone = "good"


@dataclass(frozen=True, slots=True)
class Download:
    """A file instead of a page."""

    name: str
    content_type: str
    body: bytes


class Missing(Exception):
    """What was asked for is not there: 404 with this text."""


class Invalid(Exception):
    """What was sent cannot be taken: 400 with this text."""
