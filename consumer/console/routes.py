"""Put the console on the application: a table of its screens, and the routes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import falcon

from consumer.console.base import ROOT, Base
from consumer.console.context import Context
from consumer.console.login import Colours, Home, Login, Logout, Nothing, Static
from consumer.console.origin import Origins
from consumer.console.page import Page, Screen
from consumer.console.screens import (
    adoption,
    audit,
    dead_letter,
    dead_letter_bulk,
    dead_letter_edit,
    dead_letters,
    events,
    jobs,
    overview,
    readers,
    schema_held,
    schema_subject,
    schemas,
    settings,
    signals,
)
from consumer.console.session import Sessions, signer
from consumer.console.templating import Assets, Templates
from consumer.core.throttle import Throttle
from consumer.http.app import add_route
from consumer.http.client_address import Clients, Network

# In the order of the navigation.
SCREENS = (
    Screen("", "Overview", "overview.html", overview.view, nav="Overview"),
    Screen("/schemas", "Schemas", "schemas.html", schemas.view, nav="Schemas"),
    Screen(
        "/schemas/subject",
        "Schema",
        "schema_subject.html",
        schema_subject.view,
        under="/schemas",
    ),
    Screen(
        "/schemas/held",
        "Held changes",
        "schema_held.html",
        schema_held.view,
        schema_held.act,
        under="/schemas",
        form_bytes=1024 * 1024,
    ),
    Screen("/schemas/export", "Export", "", schema_subject.export, under="/schemas"),
    Screen("/readers", "Readers", "readers.html", readers.view, readers.act, nav="Readers"),
    Screen("/signals", "Signals", "signals.html", signals.view, signals.act, nav="Signals"),
    Screen("/adoption", "Adoption", "adoption.html", adoption.view, nav="Adoption"),
    Screen("/events", "Events", "events.html", events.view, nav="Events"),
    Screen("/events/one", "Event", "event.html", events.one, under="/events"),
    Screen(
        "/dead-letters", "Dead letters", "dead_letters.html", dead_letters.view, nav="Dead letters"
    ),
    Screen(
        "/dead-letters/one",
        "Dead letter",
        "dead_letter.html",
        dead_letter.view,
        dead_letter.act,
        under="/dead-letters",
    ),
    Screen(
        "/dead-letters/edit",
        "Edit a dead letter",
        "dead_letter_edit.html",
        dead_letter_edit.view,
        dead_letter_edit.act,
        under="/dead-letters",
        form_bytes=dead_letter_edit.FORM_BYTES,
    ),
    Screen(
        "/dead-letters/bulk",
        "Many at once",
        "dead_letter_bulk.html",
        dead_letter_bulk.view,
        dead_letter_bulk.act,
        under="/dead-letters",
        form_bytes=dead_letter_bulk.FORM_BYTES,
    ),
    Screen("/jobs", "Jobs", "jobs.html", jobs.view, nav="Jobs"),
    Screen("/settings", "Settings", "settings.html", settings.view, nav="Settings"),
    Screen("/audit", "Audit", "audit.html", audit.view, nav="Audit"),
)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may in, and from where. `pepper` is a secret that all processes share; `threads` how many
    of the server's may work on pages at the same time."""

    password: str
    pepper: bytes
    seconds: float
    hosts: tuple[str, ...]
    proxies: tuple[Network, ...]
    threads: int


def mount(app: falcon.App[Any, Any], context: Context, access: Access) -> None:
    """Add every route of the console to the application."""
    assets = Assets()
    sessions = Sessions(access.password, access.pepper, access.seconds)
    base = Base(
        templates=Templates(assets),
        sessions=sessions,
        origins=Origins(Clients(access.proxies), frozenset(access.hosts)),
        messages=signer(sessions.derived("notes")),
        slots=threading.BoundedSemaphore(access.threads),
        ended_sessions=context.ended_sessions,
        common={
            "screens": [screen for screen in SCREENS if screen.nav],
            "root": ROOT,
            "release": version("cxone-consumer"),
        },
    )
    add_route(app, f"{ROOT}/login", Login(base, context, Throttle()))
    add_route(app, f"{ROOT}/logout", Logout(base))
    add_route(app, f"{ROOT}/colours", Colours(base))
    add_route(app, f"{ROOT}/static/{{name}}", Static(assets))
    for screen in SCREENS:
        add_route(app, f"{ROOT}{screen.path}", Page(base, context, screen))
    add_route(app, f"{ROOT}/{{other:path}}", Nothing(base))
    if all(source.path != "/" for source in context.settings.every_source.values()):
        add_route(app, "/", Home())
