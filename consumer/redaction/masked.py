"""A body of which some bytes are hidden."""

from __future__ import annotations

from dataclasses import dataclass

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
        for span in self.spans:
            for at in range(max(span.start, start), min(span.end, start + len(flags))):
                flags[at - start] = at < self.certain or self.raw[at] not in PUNCTUATION
        return flags

    @property
    def certain(self) -> int:
        """How many bytes could be read."""
        return len(self.raw) if self.fault is None else self.fault
