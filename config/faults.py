"""Faults of the settings, all of them in one error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_SHOWN_CHARACTERS = 60
_SHOWN_FAULTS = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """`name` as it was written, `source` where it stands, what is wrong and what is allowed.

    No field ever holds the value of a secret or of a name we do not know.
    """

    name: str
    source: str
    problem: str
    allowed: str = ""

    def __str__(self) -> str:
        tail = f"; allowed: {self.allowed}" if self.allowed else ""
        return f"{self.name} ({self.source}): {self.problem}{tail}"


def in_quotes(name: str, source: str, what: str = "") -> Fault:
    """The fault of a backslash in quotes that was meant as one, as in a path of Windows."""
    return Fault(name, source, f"{what}in quotes \\ begins an escape", "/ or \\\\ for each \\")


class Wrong(ValueError):
    """A value that is not allowed; the text says why, and holds nothing of it."""


class SettingsError(Exception):
    """The program cannot start as it was set up (exit 2); `faults` holds every one found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        lines = [f"{count} setting{'s are' if count != 1 else ' is'} wrong:"]
        lines += [f"  {fault}" for fault in self.faults[:_SHOWN_FAULTS]]
        if count > _SHOWN_FAULTS:
            lines.append(f"  and {count - _SHOWN_FAULTS} more")
        super().__init__("\n".join(lines))


def shown(value: object) -> str:
    """A value for an error text: on one line, bounded. Never for a secret."""
    if isinstance(value, str):
        text = repr(value[:_SHOWN_CHARACTERS])
        return text if len(value) <= _SHOWN_CHARACTERS else f"{text}…"
    if isinstance(value, bool | float) or (isinstance(value, int) and value.bit_length() < 64):
        return repr(value)
    # Lists and tables can be huge or nested deeper than repr can follow.
    return f"a value of type {type(value).__name__}"
