"""Figures of signals, as field statistics show them."""

from __future__ import annotations

RENAMED = {
    "events": 3210,
    "together": 0,
    "old_share": 0.3,
    "new_share": 0.6,
    "share_before": 0.9,
    "types_agree": True,
    "same_place": True,
    "names_agree": 0.3,
}
GONE = {
    "absent_hours": 195,
    "longest_gap_hours": 2,
    "events_without": 1840,
    "share_before": 0.98,
}
