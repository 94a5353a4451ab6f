"""Warn about guards that keep fields out of a schema, without a line for each event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from consumer.core.ratelimit import RateLimit

log = structlog.get_logger(__name__)

# Seconds between two lines about one subject and guard.
_WARN_EVERY = 60.0
# These keep out whole subjects, whose names may come by the thousand: one line for all.
_OF_ALL_SUBJECTS = frozenset({"subjects", "subject_name"})
# What helps, by guard; the others are not settings.
_NEXT_STEP = {
    "depth": "raise CXONE_SCHEMA_MAX_DEPTH if such fields matter",
    "paths_per_event": "name maps with data for keys in the settings, or raise"
    " CXONE_SCHEMA_MAX_PATHS",
    "paths_per_subject": "name maps with data for keys in the settings, or raise"
    " CXONE_SCHEMA_MAX_PATHS",
    "versions_per_hour": "later events register them; CXONE_SCHEMA_MAX_VERSIONS_PER_HOUR is the"
    " bound",
    "hole": "versions were lost, as with a restored backup: go on behind them with"
    " `cxone-consumer schema renumber`",
    "subjects": "check CXONE_TYPE_FIELD, or raise CXONE_SCHEMA_MAX_SUBJECTS",
    "subject_name": "check CXONE_TYPE_FIELD",
    "rejected": "nothing to do: a person rejected it, and `schema reject` lists it",
    "data_key": "nothing to do: an e-mail address or a phone number is no name of a field",
}


class GuardWarnings:
    """Logs at most one line a minute for each subject and guard."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._limit = RateLimit(_WARN_EVERY, clock)

    def warn(self, subject: str, guard: str, untracked: int) -> None:
        """Warn about an event of which a guard left `untracked` values out of the schema."""
        suppressed = self._limit.allow(guard if guard in _OF_ALL_SUBJECTS else f"{guard} {subject}")
        if suppressed is None:
            return
        log.warning(
            "a guard keeps fields out of the schema; they are stored as sent",
            subject=subject,
            guard=guard,
            untracked=untracked,
            suppressed=suppressed,
            next_step=_NEXT_STEP.get(guard, "nothing to do"),
        )
