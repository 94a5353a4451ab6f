"""Every screen of the console, one row each, in the order of the navigation."""

from __future__ import annotations

from consumer.web.console.screen import Screen
from consumer.web.console.screens import audit, jobs, overview, settings

SCREENS = (
    Screen("", "Overview", "overview.html", overview.show, nav="Overview"),
    Screen("/jobs", "Jobs", "jobs.html", jobs.show, nav="Jobs"),
    Screen("/settings", "Settings", "settings.html", settings.show, nav="Settings"),
    Screen("/audit", "Audit", "audit.html", audit.show, nav="Audit"),
)
