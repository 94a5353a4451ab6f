"""A body of which some bytes are hidden."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import islice

MASK = "********"
# What may be seen where a body could not be read.
PUNCTUATION = b'{}[],:" \t\r\n'


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` to before `end` of a body are hidden; `instead` stands for them in text."""

    start: int
    end: int
    instead: bytes


@dataclass(frozen=True, slots=True)
class MaskedBody:
    """A body and what of it is hidden. From byte `fault` on it could not be read."""

    raw: bytes
    spans: tuple[Span, ...] = ()
    fault: int | None = None

    @property
    def shown(self) -> bytes:
        """The body with masks; JSON stays JSON."""
        parts, at = [], 0
        for span in self.spans:
            parts += [self.raw[at : span.start], span.instead]
            at = span.end
        return b"".join([*parts, self.raw[at:]])

    def hidden(self, start: int, end: int) -> list[bool]:
        """Of each byte in the range whether it is hidden."""
        flags = [False] * max(0, min(end, len(self.raw)) - start)
        # A megabyte has half a million of them, and is shown in rows of 16 bytes.
        first = bisect_right(self.spans, start, key=_end)
        for span in islice(self.spans, first, None):
            if span.start >= end:
                break
            for at in range(max(span.start, start), min(span.end, start + len(flags))):
                flags[at - start] = at < self.certain or self.raw[at] not in PUNCTUATION
        return flags

    def hides(self, start: int, end: int) -> bool:
        """Whether one mask covers the whole range."""
        first = bisect_right(self.spans, start, key=_end)
        return any(s.start <= start and end <= s.end for s in self.spans[first : first + 1])

    @property
    def certain(self) -> int:
        """How many bytes could be read."""
        return len(self.raw) if self.fault is None else self.fault


def _end(span: Span) -> int:
    return span.end
