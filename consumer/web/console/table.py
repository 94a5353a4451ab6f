"""Every screen of the console, one row each, in the order of the navigation."""

from __future__ import annotations

from consumer.web.console.screen import Screen
from consumer.web.console.screens import (
    adoption,
    audit,
    events,
    jobs,
    letter,
    letter_bulk,
    letter_edit,
    letters,
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
    Screen("/events", "Events", "events.html", events.show, nav="Events"),
    Screen("/events/one", "Event", "event.html", events.one, under="/events"),
    Screen("/dead-letters", "Dead letters", "letters.html", letters.show, nav="Dead letters"),
    Screen(
        "/dead-letters/one",
        "Dead letter",
        "letter.html",
        letter.show,
        letter.act,
        under="/dead-letters",
    ),
    Screen(
        "/dead-letters/edit",
        "Edit a dead letter",
        "letter_edit.html",
        letter_edit.show,
        letter_edit.act,
        under="/dead-letters",
        form_bytes=letter_edit.FORM_BYTES,
    ),
    Screen(
        "/dead-letters/bulk",
        "Many at once",
        "letter_bulk.html",
        letter_bulk.show,
        letter_bulk.act,
        under="/dead-letters",
    ),
    Screen("/jobs", "Jobs", "jobs.html", jobs.show, nav="Jobs"),
    Screen("/settings", "Settings", "settings.html", settings.show, nav="Settings"),
    Screen("/audit", "Audit", "audit.html", audit.show, nav="Audit"),
)
