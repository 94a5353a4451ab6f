"""Mask the values of chosen fields wherever people look at payloads; what is stored stays as it is.

Everything that shows a payload, or a part of one, asks `Redaction` for it: raw, pretty and hex
views, exports, differences, pages and the bytes that the log shows of a malformed body.
"""

from __future__ import annotations

from consumer.redaction.masked import MASK, MaskedBody, Span
from consumer.redaction.paths import Paths, read_paths
from consumer.redaction.rules import Redaction

__all__ = ["MASK", "MaskedBody", "Paths", "Redaction", "Span", "read_paths"]
