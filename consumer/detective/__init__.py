"""Find out why a signature was refused by trying the variants that people meet in the field."""

from __future__ import annotations

from consumer.detective.findings import Finding, Kind
from consumer.detective.search import investigate

__all__ = ["Finding", "Kind", "investigate"]
