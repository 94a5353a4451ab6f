"""Put the console on the application: its routes, wired."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import falcon

from config.ratelimit import RateLimit
from consumer.web.clients import Clients, Network
from consumer.web.console.entrance import Login, Logout, Static
from consumer.web.console.frame import ROOT, Frame
from consumer.web.console.origin import Origins
from consumer.web.console.page import Page
from consumer.web.console.pages import Assets, Pages
from consumer.web.console.parts import Parts
from consumer.web.console.session import Sessions, signer
from consumer.web.console.table import SCREENS
from consumer.web.console.throttle import Throttle
from consumer.web.resource import add_route

# Seconds between two lines about the same fault.
_TELL_EVERY = 60.0


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


def mount(app: falcon.App[Any, Any], parts: Parts, access: Access) -> None:
    """Add every route of the console to the application."""
    assets = Assets()
    sessions = Sessions(access.password, access.pepper, access.seconds)
    frame = Frame(
        pages=Pages(assets),
        sessions=sessions,
        origins=Origins(Clients(access.proxies), frozenset(access.hosts)),
        notes=signer(sessions.derived("notes")),
        slots=threading.BoundedSemaphore(access.threads),
        ended=parts.ended_sessions,
        faults=RateLimit(_TELL_EVERY, parts.clock),
        base={
            "screens": [screen for screen in SCREENS if screen.nav],
            "root": ROOT,
            "release": version("cxone-consumer"),
        },
    )
    add_route(app, f"{ROOT}/login", Login(frame, parts, Throttle()))
    add_route(app, f"{ROOT}/logout", Logout(frame))
    add_route(app, f"{ROOT}/static/{{name}}", Static(assets))
    for screen in SCREENS:
        add_route(app, f"{ROOT}{screen.path}", Page(frame, parts, screen))
