"""Write out what a terminal or a page would take for more than text."""

from __future__ import annotations

import re

# C0 and C1 controls (an escape sequence in an event type could rewrite the screen), bidirectional
# overrides, line separators and lone surrogates; a line feed stays.
_UNPRINTABLE = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def safe(text: str) -> str:
    """Text from outside with its control characters written out, as in `\\x1b`."""
    return _UNPRINTABLE.sub(lambda found: ascii(found.group())[1:-1], text)
