"""A target for the examinations of doctor, for tests that call them one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from config import loading as configuration
from consumer.doctor.check import Check, Target

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def settings_of(**given: str) -> configuration.Settings:
    return configuration.load({name.upper(): value for name, value in given.items()}, {})


def target(settings: configuration.Settings | None = None, **changed: Any) -> Target:
    settings = settings or settings_of()
    return replace(Target(settings, None, lambda: NOW), **changed)


def one(checks: Iterator[Check]) -> Check:
    (check,) = checks
    return check
