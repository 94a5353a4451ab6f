"""Every screen of the console, one row each, in the order of the navigation."""

from __future__ import annotations

from consumer.web.console.screen import Screen
from consumer.web.console.screens import (
    adoption,
    audit,
    jobs,
    overview,
    schema_held,
    schema_subject,
    schemas,
    settings,
)

SCREENS = (
    Screen("", "Overview", "overview.html", overview.show, nav="Overview"),
    Screen("/schemas", "Schemas", "schemas.html", schemas.show, nav="Schemas"),
    Screen(
        "/schemas/subject",
        "Schema",
        "schema_subject.html",
        schema_subject.show,
        under="/schemas",
    ),
    Screen(
        "/schemas/held",
        "Held changes",
        "schema_held.html",
        schema_held.show,
        schema_held.act,
        under="/schemas",
        form_bytes=1024 * 1024,
    ),
    Screen("/schemas/export", "Export", "", schema_subject.export, under="/schemas"),
    Screen("/adoption", "Adoption", "adoption.html", adoption.show, nav="Adoption"),
    Screen("/jobs", "Jobs", "jobs.html", jobs.show, nav="Jobs"),
    Screen("/settings", "Settings", "settings.html", settings.show, nav="Settings"),
    Screen("/audit", "Audit", "audit.html", audit.show, nav="Audit"),
)
